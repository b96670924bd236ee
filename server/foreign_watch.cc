#include "server/foreign_watch.h"

#include <algorithm>

#include "absl/strings/str_join.h"
#include "proto/units.h"
#include "server/foreign/foreign_slabs.h"
#include "server/log/log_sink.h"

namespace nvcv_cached::server {
namespace {

constexpr std::chrono::seconds kLookAgain{1};

// What neither is free nor ours; more than that cannot be foreign. On the host the kernel's caches
// are free and taken at once: there it bounds nothing.
uint64_t HeldByOthers(Broker& broker) {
  const DeviceInfo& device = broker.device_info();
  if (device.kind == "host") return device.total_bytes;
  const uint64_t pool = broker.With([](Books& books) { return books.GetSums().pool_bytes; });
  const uint64_t known = broker.DeviceFreeBytes() + pool;
  return device.total_bytes - std::min(device.total_bytes, known);
}

}  // namespace

void ForeignWatch::Look(Time now) {
  if (!next_ || now < *next_) return;
  const ForeignSlabs found = LookForForeignSlabs(record_);
  const uint64_t bytes = found.bytes == 0 ? 0 : std::min(found.bytes, HeldByOthers(broker_));
  if (bytes != bytes_) {
    broker_.With([&](Books& books) { books.SetForeign(bytes); });
  }
  if (bytes_ == 0 && bytes != 0) {
    LogWarning(Event("foreign")
                   .With("bytes", FormatSize(bytes))
                   .With("pids", absl::StrJoin(found.pids, ","))
                   .With("hint",
                         "an earlier daemon's slabs; they return when these processes exit "
                         "or let go of what they use"));
  } else if (bytes_ != 0 && bytes == 0) {
    LogInfo(Event("foreign").With("bytes", FormatSize(0)));
  }
  bytes_ = bytes;
  next_.reset();
  if (found.look_again) next_ = now + kLookAgain;
}

}  // namespace nvcv_cached::server
