// Where the slabs of one session are mapped in this process.
//
// Invariant: a slab is mapped once, from its first grant until it is dropped, and its number is
// never used twice. Mappings are shared memory, stay out of core dumps and stay mapped across fork
// (an inherited view keeps working). Not thread-safe: the session's mutex protects it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "absl/status/status.h"

namespace nvcv_cached::client {

class MappingTable {
 public:
  struct Mapping {
    void* data = nullptr;
    size_t size_bytes = 0;
    uint32_t held =
        0;  // leases in use at the moment their session was closed, and since not returned
  };

  MappingTable() = default;
  ~MappingTable();
  MappingTable(const MappingTable&) = delete;
  MappingTable& operator=(const MappingTable&) = delete;

  // Maps the memory behind `fd` (not kept). RESOURCE_EXHAUSTED: no address space or too many
  // mappings.
  absl::Status Map(uint64_t slab, size_t size_bytes, int fd);

  // Null for a slab that is not mapped.
  Mapping* Find(uint64_t slab);

  // Unmaps the slab; nothing happens for one that is not mapped.
  void Unmap(uint64_t slab);

  // Unmaps every slab in which nothing is held.
  void UnmapUnheld();

  size_t size() const { return mappings_.size(); }

 private:
  std::unordered_map<uint64_t, Mapping> mappings_;
};

}  // namespace nvcv_cached::client
