/// @class nvcv_cached::Resource
/// What all objects of the cache have in common: a shared handle of memory and what lies in it.
///
/// Copies of a handle name the same object; the last one gives it back to the thread cache of the
/// thread that made it. A moved-from handle is empty. Made through the classes that derive from it.
/// Thread-safety: like shared_ptr: different handles from different threads, one handle from one at
/// a time.
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

class NVCV_CACHED_API Resource {
 public:
  /// Unique in this process; an object that is reused for the same spec keeps it. Of a handle that
  /// is not empty, as everything below.
  std::uint64_t id() const;

  /// What counts toward the limit for it: the bytes that the daemon granted, 0 for what wraps other
  /// memory.
  std::size_t cache_bytes() const;

  Device device() const;    ///< that it was made on
  int cuda_device() const;  ///< the GPU's ordinal in this process; -1: host memory, or no memory

  /// The memory is used on that stream too (stream.h has the rule).
  void record_stream(const Stream& stream) const;

  /// The same, and what the stream is given from here on runs after what the streams that the memory
  /// was handed out on before have now: NVCV's submitSync. Of memory that is wrapped nothing is
  /// known.
  void submit_stream_sync(const Stream& stream) const;

  /// Whether it names an object.
  explicit operator bool() const { return item_ != nullptr; }

 protected:
  /// @cond
  Resource() = default;
  explicit Resource(client::Item* item) : item_(item) {}  ///< takes over one handle
  Resource(const Resource& other) noexcept;
  Resource(Resource&& other) noexcept : item_(other.item_) { other.item_ = nullptr; }
  Resource& operator=(const Resource& other) noexcept;
  Resource& operator=(Resource&& other) noexcept {
    client::Item* item = item_;
    item_ = other.item_;
    other.item_ = item;
    return *this;
  }
  ~Resource() {
    if (item_ != nullptr) Drop();
  }

  client::Item* item_ = nullptr;
  /// @endcond

 private:
  void Drop() noexcept;
};

/// Resources that hold elements, pixels or other containers.
class NVCV_CACHED_API Container : public Resource {
 protected:
  /// @cond
  using Resource::Resource;
  /// @endcond
};

}  // namespace nvcv_cached
