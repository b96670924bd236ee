// The C functions of allocator.h: items under their pointers. What is allocated is in the table
// until it is freed; a pointer that is not there is said and left alone.
#include "nvcv_cached/allocator.h"

#include <array>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "client/src/errors.h"
#include "client/src/fork_guard.h"
#include "client/src/item.h"
#include "client/src/log.h"
#include "client/src/process.h"
#include "client/src/spec.h"
#include "client/src/thread_cache.h"
#include "nvcv_cached/error.h"
#include "nvcv_cached/stream.h"

namespace nvcv_cached::client {

namespace {

// Under a few mutexes, chosen by pointer: threads that allocate at once seldom meet.
class Allocated {
 public:
  static Allocated& Process() {
    static auto* const allocated = new Allocated;
    return *allocated;
  }

  void Add(void* data, Item* item) {
    Shard& shard = ShardOf(data);
    std::lock_guard lock(shard.mutex);
    shard.items.emplace(data, item);
  }

  Item* Take(void* data) {
    Shard& shard = ShardOf(data);
    std::lock_guard lock(shard.mutex);
    const auto found = shard.items.find(data);
    if (found == shard.items.end()) return nullptr;
    Item* const item = found->second;
    shard.items.erase(found);
    return item;
  }

 private:
  struct alignas(lease_table::kLine) Shard {
    std::mutex mutex;
    std::unordered_map<void*, Item*> items;
  };
  Shard& ShardOf(void* data) {
    return shards_[reinterpret_cast<uintptr_t>(data) / 512 % shards_.size()];
  }

  std::array<Shard, 16> shards_;
};

std::string& LastError() {
  static thread_local std::string text;
  return text;
}

// The stream is the thread's current one for as long: at a release it may be touched then.
void* Allocate(size_t size_bytes, int device, void* stream) {
  const StreamScope scope{Stream(stream)};
  const Spec spec = Spec::OfBuffer(size_bytes, 0);
  Item* const item =
      device < 0 ? TakeItem(spec) : TakeItemOn(*ValueOrThrow(DeviceAt(device)), spec);
  try {
    void* const data = item->HandOut();
    Allocated::Process().Add(data, item);
    return data;
  } catch (...) {
    DropItem(item);
    throw;
  }
}

void Free(void* data, void* stream) {
  Item* const item = Allocated::Process().Take(data);
  if (item == nullptr) {
    Log(LogLevel::kWarning,
        absl::StrCat("nvcv_cached_free of 0x", absl::Hex(reinterpret_cast<uintptr_t>(data)),
                     ", which nvcv_cached_allocate did not return"));
    return;
  }
  const StreamScope scope{Stream(stream)};
  try {
    item->HandOut();
  } catch (const Error& error) {  // the stream captures, or the context is gone: never reused
    Log(LogLevel::kWarning, error.what());
  }
  DropItem(item);
}

}  // namespace

}  // namespace nvcv_cached::client

extern "C" {

void* nvcv_cached_allocate(size_t size_bytes, int device, void* stream) {
  using namespace nvcv_cached;
  std::string& error = client::LastError();
  error.clear();
  if (size_bytes == 0) return nullptr;
  try {
    return client::Allocate(size_bytes, device, stream);
  } catch (const std::exception& thrown) {
    error = thrown.what();
    client::Log(LogLevel::kInfo, error);
    return nullptr;
  }
}

void nvcv_cached_free(void* pointer, size_t, int, void* stream) {
  if (pointer != nullptr && !nvcv_cached::client::IsForkedChild()) {
    nvcv_cached::client::Free(pointer, stream);
  }
}

const char* nvcv_cached_last_error(void) { return nvcv_cached::client::LastError().c_str(); }

}  // extern "C"
