#include "client/src/mapping_table.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace nvcv_cached::client {

absl::Status MappingTable::Map(uint64_t slab, size_t size_bytes, const SlabMapper::Handle& handle) {
  if (mappings_.count(slab) != 0) {
    return absl::InternalError(absl::StrCat("slab ", slab, " was sent twice"));
  }
  absl::StatusOr<void*> data = mapper_.Map(handle, size_bytes);
  if (!data.ok()) return data.status();
  mappings_.emplace(slab, Mapping{*data, size_bytes, 0});
  return absl::OkStatus();
}

MappingTable::Mapping* MappingTable::Find(uint64_t slab) {
  auto found = mappings_.find(slab);
  return found == mappings_.end() ? nullptr : &found->second;
}

void MappingTable::Unmap(uint64_t slab, std::function<void()> unmapped) {
  auto found = mappings_.find(slab);
  if (found == mappings_.end()) {
    unmapped();
    return;
  }
  const Mapping gone = found->second;
  mappings_.erase(found);
  mapper_.Unmap(gone.data, gone.size_bytes, std::move(unmapped));
}

void MappingTable::UnmapUnheld() {
  for (auto it = mappings_.begin(); it != mappings_.end();) {
    if (it->second.held != 0) {
      ++it;
      continue;
    }
    mapper_.Unmap(it->second.data, it->second.size_bytes, [] {});
    it = mappings_.erase(it);
  }
}

}  // namespace nvcv_cached::client
