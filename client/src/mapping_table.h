// Where the slabs of one session are mapped in this process.
//
// Invariant: a slab is mapped once, from its first grant until it is dropped, and its number is
// never used twice. Host slabs are shared memory, stay out of core dumps and stay mapped across
// fork (an inherited view keeps working). Not thread-safe: the session's mutex protects it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>

#include "absl/status/status.h"
#include "client/src/slab_mapper.h"

namespace nvcv_cached::client {

class MappingTable {
 public:
  struct Mapping {
    void* data = nullptr;
    size_t size_bytes = 0;
    uint32_t held =
        0;  // leases in use at the moment their session was closed, and since not returned
  };

  // `mapper` outlives the table.
  explicit MappingTable(SlabMapper& mapper) : mapper_(mapper) {}
  MappingTable(const MappingTable&) = delete;
  MappingTable& operator=(const MappingTable&) = delete;

  // Maps the memory behind `handle` (not kept). Errors of SlabMapper::Map.
  absl::Status Map(uint64_t slab, size_t size_bytes, const SlabMapper::Handle& handle);

  // Null for a slab that is not mapped.
  Mapping* Find(uint64_t slab);

  // The slab is mapped no more; `unmapped` is called once that is so outside too (at once for one
  // that is not mapped).
  void Unmap(
      uint64_t slab, std::function<void()> unmapped = [] {});

  // Unmaps every slab in which nothing is held.
  void UnmapUnheld();

  size_t size() const { return mappings_.size(); }

 private:
  SlabMapper& mapper_;
  std::unordered_map<uint64_t, Mapping> mappings_;
};

}  // namespace nvcv_cached::client
