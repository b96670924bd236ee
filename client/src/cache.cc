// The cache functions of the public API: each is one question to the connection of the thread's
// device.
#include "nvcv_cached/cache.h"

#include <limits>
#include <optional>
#include <string>

#include "client/src/connection.h"
#include "client/src/errors.h"
#include "client/src/fork_guard.h"
#include "client/src/local_items.h"
#include "client/src/process_connection.h"
#include "client/src/thread_cache.h"

namespace nvcv_cached {

namespace {

// Of the calling thread's device.
client::Connection& Daemon() { return *client::ValueOrThrow(client::ThreadConnection()); }

std::int64_t Clamped(std::uint64_t value) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  return value > static_cast<std::uint64_t>(kMost) ? kMost : static_cast<std::int64_t>(value);
}

std::uint32_t TagFor(Scope scope) {
  return scope == Scope::kThread ? client::MyThreadTag().value_or(0) : 0;
}

}  // namespace

Stats stats(Scope scope) {
  client::RefuseInForkedChild();
  Stats stats;
  if (scope != Scope::kThread || client::MyThreadTag()) {  // else this thread has borrowed nothing
    stats = client::ValueOrThrow(Daemon().Count(scope, TagFor(scope)));
  }
  stats.cache_items += static_cast<std::uint64_t>(client::CountLocalItems(scope));
  return stats;
}

std::int64_t cache_size(Scope scope) { return Clamped(stats(scope).cache_items); }

std::int64_t current_cache_size_inbytes(Scope scope) { return Clamped(stats(scope).cache_bytes); }

void clear_cache(Scope scope) {
  client::RefuseInForkedChild();
  if (scope == Scope::kDaemon) {
    throw InvalidArgument("clear_cache of all processes was asked for; a process clears its own",
                          "nvcv-cachectl clear");
  }
  client::ClearLocalItems(scope);
  if (scope == Scope::kThread && !client::MyThreadTag()) return;  // it has borrowed nothing
  client::ThrowUnlessOk(Daemon().Clear(scope, TagFor(scope)));
}

void set_cache_limit_inbytes(std::int64_t limit) {
  client::RefuseInForkedChild();
  if (limit < 0) {
    throw InvalidArgument("a cache limit of " + std::to_string(limit) + " bytes was asked for",
                          "use 0 to cache nothing, or a positive number");
  }
  client::ThrowUnlessOk(Daemon().SetLimit(static_cast<std::uint64_t>(limit)));
}

std::int64_t get_cache_limit_inbytes() {
  client::RefuseInForkedChild();
  std::optional<std::uint64_t> limit = client::ValueOrThrow(Daemon().Limit());
  return Clamped(limit ? *limit : client::ValueOrThrow(Daemon().DeviceBytes()) / 2);
}

}  // namespace nvcv_cached
