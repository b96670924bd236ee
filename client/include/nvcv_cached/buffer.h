// A piece of the device's memory, borrowed from the daemon: the lowest layer.
//
// A Buffer is a shared handle: copies name the same memory, and the last one gives it back to the thread
// cache of the thread that made it. A hit (an idle buffer of the same size, made by this thread) makes no call
// and takes no lock; contents are whatever the last user left.
// Thread-safety: like shared_ptr: different handles from different threads, one handle from one at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nvcv_cached/device.h"
#include "nvcv_cached/export.h"
#include "nvcv_cached/stream.h"

namespace nvcv_cached {

namespace client {
class Item;
}

class NVCV_CACHED_API Buffer {
 public:
  Buffer() = default;  // empty: data() is null

  // `alignment` is a power of two up to 2 MiB; 0 takes the device's own (host: 512 bytes).
  // Throws InvalidArgument, OutOfMemory, QuotaExceeded, Unavailable, DeadlineExceeded, PermissionDenied,
  // VersionMismatch or Forked.
  explicit Buffer(std::size_t size_bytes, std::size_t alignment = 0);

  Buffer(const Buffer& other) noexcept;
  Buffer(Buffer&& other) noexcept : item_(other.item_) { other.item_ = nullptr; }
  Buffer& operator=(Buffer other) noexcept {
    client::Item* item = item_;
    item_ = other.item_;
    other.item_ = item;
    return *this;
  }
  ~Buffer() {
    if (item_ != nullptr) Drop();
  }

  // The memory is handed out from here on: on a GPU its release is fenced.
  void* data() const;
  std::size_t size_bytes() const;
  Device device() const;

  // The memory is used on that stream too (stream.h has the rule).
  void record_stream(const Stream& stream) const;
  explicit operator bool() const { return item_ != nullptr; }

 private:
  friend class Tensor;
  void Drop() noexcept;
  client::Item* item_ = nullptr;
};

}  // namespace nvcv_cached
