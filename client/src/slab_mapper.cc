#include "client/src/slab_mapper.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "proto/units.h"

namespace nvcv_cached::client {

absl::StatusOr<void*> HostMapper::Map(const Handle& handle, size_t size_bytes) {
  void* data = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, handle.fd, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("mapping a slab of ", FormatSize(size_bytes), ": ", std::strerror(errno),
                     "; do: raise vm.max_map_count or this process's RLIMIT_AS"));
  }
  // Both are wishes: a kernel without them is as good.
  ::madvise(data, size_bytes, MADV_DONTDUMP);
  ::madvise(data, size_bytes, MADV_HUGEPAGE);
  return data;
}

void HostMapper::Unmap(void* data, size_t size_bytes, std::function<void()> unmapped) {
  ::munmap(data, size_bytes);
  unmapped();
}

}  // namespace nvcv_cached::client
