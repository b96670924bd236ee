// The memory of the device as slabs, cut into blocks.
//
// Slabs stand apart by group: a domain (M4) and a size class, so that one small block does not pin
// a big slab. A block is taken where it fits best, in a slab that the session already maps if one
// is nearly as good; neighbours that are free are always one extent. What a slab is for:
//
//   kAllocating  the device makes it; counts against the capacity
//   kServing     blocks are granted from it
//   kDoomed      serves nobody new; goes back to the device once its last block is free
//   kRetiring    empty; its importers have been told to unmap it
//   kFreeing     nobody maps it; the device frees it
//
// A slab that is doomed or retiring serves again when nothing else can be had (slab_life.h).
//
// Invariant (M1): the extents of a slab cover it in order, without gap or overlap; no two
// neighbours are free; an extent without a lease is free, and in its group's index exactly while
// the slab serves. Thread-safety: none; under the lock of the books.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "server/core/clock.h"
#include "server/core/lease.h"
#include "server/core/types.h"

namespace nvcv_cached::server::core {

using GroupId = uint32_t;
using SlabSet = absl::flat_hash_set<SlabId>;

inline constexpr uint64_t kBlockBytes = 512;     // every block starts on and is a multiple of this
inline constexpr uint64_t kPageBytes = 2 << 20;  // every slab is a multiple of this
inline constexpr uint64_t kMaxAlignment = kPageBytes;

constexpr uint64_t RoundUp(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

// Where a block may go. A slab that was made for one large block is filled by a much smaller one
// only when nothing better can be had: so large blocks of all sizes do not end up each in the slab
// of a larger one.
enum class Fit : uint8_t { kClose, kAny };

enum class SlabState : uint8_t { kAllocating, kServing, kDoomed, kRetiring, kFreeing };
inline constexpr size_t kSlabStates = 5;

// How a session stands to slabs: what it maps serves it best, what it was asked to unmap not at
// all.
struct Mapped {
  const SlabSet& slabs;
  const SlabSet& asked;
};

struct Slab;

struct Extent {
  Slab* slab = nullptr;
  uint64_t offset = 0;
  uint64_t size = 0;
  Extent* previous = nullptr;  // neighbours in the slab, by address
  Extent* next = nullptr;
  Lease* lease = nullptr;  // nullptr: free

  // Where a block of this size would start in here; end() or beyond: it does not fit.
  uint64_t StartFor(uint64_t alignment) const { return RoundUp(offset, alignment); }
  uint64_t end() const { return offset + size; }
  bool Fits(uint64_t bytes, uint64_t alignment) const {
    const uint64_t start = StartFor(alignment);
    return start <= end() && end() - start >= bytes;
  }
};

struct Slab {
  SlabId id = 0;
  GroupId group = 0;
  uint64_t size_bytes = 0;
  uint64_t used_bytes = 0;
  SlabState state = SlabState::kAllocating;
  bool own = false;  // made for one large block
  Extent* first = nullptr;
  TimePoint empty_since;   // while used_bytes is 0
  TimePoint closed_since;  // while it does not serve
  absl::flat_hash_set<SessionId> mapped_by;
  absl::flat_hash_set<SessionId> asked;  // of these: told to unmap it, and not answered yet

  bool empty() const { return used_bytes == 0; }
};

class Pool {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  GroupId GroupOf(const Domain& domain, SizeClass size_class);
  size_t groups() const { return groups_.size(); }
  const Domain& domain(GroupId group) const { return groups_[group].domain; }
  SizeClass size_class(GroupId group) const { return groups_[group].size_class; }

  Slab& Add(GroupId group, uint64_t size_bytes, bool own);
  void Serve(Slab& slab, TimePoint now);  // kAllocating, kRetiring, kDoomed -> kServing
  // Nothing is granted from it any more.
  void Close(Slab& slab, SlabState state, TimePoint now);
  void Remove(Slab& slab, TimePoint now);  // the device has it back
  Slab* Find(SlabId id);
  const std::map<SlabId, std::unique_ptr<Slab>>& slabs() const { return slabs_; }

  // A block of exactly `bytes` (a multiple of kBlockBytes) for the lease; nullptr: none is free.
  Extent* Allocate(GroupId group, uint64_t bytes, uint64_t alignment, Fit fit, const Mapped& mapped,
                   Lease* lease);
  bool HasFit(GroupId group, uint64_t bytes, uint64_t alignment, Fit fit, const Mapped& mapped) {
    return FindFit(groups_[group], bytes, alignment, fit, mapped) != nullptr;
  }
  // Returns the free extent that the block has become part of.
  Extent* Free(Extent* block, TimePoint now);

  uint64_t held_bytes() const {
    return held_bytes_;
  }  // slabs in any state: what the capacity bounds
  uint64_t ready_bytes() const { return held_bytes_ - allocating_bytes_; }
  uint64_t allocating_bytes() const { return allocating_bytes_; }
  uint64_t used_bytes() const { return used_bytes_; }
  uint64_t largest_free_bytes() const;
  size_t CountIn(SlabState state) const { return count_in_[static_cast<size_t>(state)]; }
  // Serving slabs without a block, longest empty first.
  using EmptySlabs = absl::btree_set<std::pair<TimePoint, SlabId>>;
  const EmptySlabs& empty_slabs() const { return empty_slabs_; }
  // Doomed slabs whose last block became free since the last call.
  std::vector<SlabId> TakeEmptyDoomed() { return std::exchange(empty_doomed_, {}); }
  uint64_t InFlightBytes(GroupId group) const { return groups_[group].in_flight_bytes; }
  // More than a tenth of the group's slabs is free and still does not fit: it lies in pieces.
  bool Fragmented(GroupId group) const {
    const Group& g = groups_[group];
    return (g.held_bytes - g.used_bytes) > g.held_bytes / 10;
  }

  void CheckInvariants() const;

 private:
  struct FreeKey {
    uint64_t size;
    SlabId slab;
    uint64_t offset;
    Extent* extent;
    friend bool operator<(const FreeKey& a, const FreeKey& b) {
      if (a.size != b.size) return a.size < b.size;
      if (a.slab != b.slab) return a.slab < b.slab;
      return a.offset < b.offset;
    }
  };
  struct Group {
    Domain domain;
    SizeClass size_class;
    absl::btree_set<FreeKey> free;
    uint64_t in_flight_bytes = 0;             // allocating
    uint64_t held_bytes = 0, used_bytes = 0;  // of serving slabs
  };

  void SetState(Slab& slab, SlabState state) {
    --count_in_[static_cast<size_t>(slab.state)];
    ++count_in_[static_cast<size_t>(state)];
    slab.state = state;
  }
  static FreeKey KeyOf(Extent* extent) {
    return {extent->size, extent->slab->id, extent->offset, extent};
  }
  Extent* FindFit(Group& group, uint64_t bytes, uint64_t alignment, Fit fit, const Mapped& mapped);
  Extent* NewExtent(Slab* slab, uint64_t offset, uint64_t size);
  void DropExtent(Extent* extent);
  Extent* SplitAt(Extent* extent, uint64_t offset);  // returns the second half; neither is indexed

  std::deque<Group> groups_;
  absl::flat_hash_map<Domain, GroupId> group_of_domain_;  // the small one; large follows
  std::map<SlabId, std::unique_ptr<Slab>> slabs_;
  std::deque<Extent> extents_;
  std::vector<Extent*> spare_extents_;
  EmptySlabs empty_slabs_;
  std::vector<SlabId> empty_doomed_;
  std::array<size_t, kSlabStates> count_in_{};
  SlabId next_slab_ = 1;
  uint64_t held_bytes_ = 0, allocating_bytes_ = 0, used_bytes_ = 0;
};

}  // namespace nvcv_cached::server::core
