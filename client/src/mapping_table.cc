#include "client/src/mapping_table.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "proto/units.h"

namespace nvcv_cached::client {

MappingTable::~MappingTable() {
  for (auto& [slab, mapping] : mappings_) ::munmap(mapping.data, mapping.size_bytes);
}

absl::Status MappingTable::Map(uint64_t slab, size_t size_bytes, int fd) {
  if (mappings_.count(slab) != 0) {
    return absl::InternalError(absl::StrCat("slab ", slab, " was sent twice"));
  }
  void* data = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "mapping a slab of ", FormatSize(size_bytes), " beside ", mappings_.size(), " others: ",
        std::strerror(errno), "; do: raise vm.max_map_count or this process's RLIMIT_AS"));
  }
  // Both are wishes: a kernel without them is as good.
  ::madvise(data, size_bytes, MADV_DONTDUMP);
  ::madvise(data, size_bytes, MADV_HUGEPAGE);
  mappings_.emplace(slab, Mapping{data, size_bytes, 0});
  return absl::OkStatus();
}

MappingTable::Mapping* MappingTable::Find(uint64_t slab) {
  auto found = mappings_.find(slab);
  return found == mappings_.end() ? nullptr : &found->second;
}

void MappingTable::Unmap(uint64_t slab) {
  auto found = mappings_.find(slab);
  if (found == mappings_.end()) return;
  ::munmap(found->second.data, found->second.size_bytes);
  mappings_.erase(found);
}

void MappingTable::UnmapUnheld() {
  for (auto it = mappings_.begin(); it != mappings_.end();) {
    if (it->second.held != 0) {
      ++it;
      continue;
    }
    ::munmap(it->second.data, it->second.size_bytes);
    it = mappings_.erase(it);
  }
}

}  // namespace nvcv_cached::client
