/// @class nvcv_cached::Buffer
/// A piece of the device's memory, borrowed from the daemon: the lowest layer.
///
/// A hit (an idle buffer of the same size, made by this thread) makes no call and takes no lock;
/// contents are whatever the last user left. Thread-safety: a handle, see resource.h.
#pragma once

#include <cstddef>

#include "nvcv_cached/resource.h"

namespace nvcv_cached {

class NVCV_CACHED_API Buffer : public Resource {
 public:
  Buffer() = default;  ///< Empty: data() is null.

  /// `alignment` is a power of two up to 2 MiB; 0 takes the device's own (host: 512 bytes).
  /// Throws InvalidArgument, OutOfMemory, QuotaExceeded, Unavailable, DeadlineExceeded,
  /// PermissionDenied, VersionMismatch or Forked.
  explicit Buffer(std::size_t size_bytes, std::size_t alignment = 0);

  /// The memory is handed out from here on: on a GPU its release is fenced.
  void* data() const;
  std::size_t size_bytes() const;  ///< As asked for.
};

}  // namespace nvcv_cached
