// When slabs come and go (M3, C8): growth up to the capacity, trimming of what stands empty, and
// the way of a slab back to the device: its importers are told to retire it, and it is freed when
// the last has unmapped it or has ended.
//
// Invariant: slabs in any state, those under way included, never hold more than the capacity that
// was in force when they were asked for; a slab in state kRetiring or kFreeing is empty.
// Thread-safety: none; under the lock of the books.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/core/eviction.h"
#include "server/core/ledger.h"
#include "server/core/reclaim.h"

namespace nvcv_cached::server::core {

class SlabLife {
 public:
  SlabLife(Ledger& ledger, Eviction& eviction) : ledger_(ledger), eviction_(eviction) {}

  // Asks the device for a slab that the block fits into, and gives no more than that back: slabs
  // that stand empty, then (but where to unmap is dear) slabs of the domain in which nothing was
  // used for the keep time (C10). False: the capacity does not allow it, or the device has just
  // refused.
  bool Grow(const Wanted& wanted);
  // Lets a slab that is retiring serve again, but for those who have been asked to unmap it: a
  // silent process keeps its mapping, not the memory (L2). Likewise what stays of a slab whose last
  // block does not drain. False: none that the block fits into.
  bool Revive(const Wanted& wanted);
  // A slab for it is on its way.
  bool Growing(const Wanted& wanted) const;
  // Makes capacity (or room on a device that has no more) for such a slab out of empty slabs, then
  // out of slabs in which nothing is in use. True: as much is on its way back to the device; what
  // has been on it for long does not count, a silent process never unmaps. Takes nothing when it
  // could not be enough.
  bool MakeCapacity(const Wanted& wanted);
  // Slabs are on their way back: to the device's worker alone, or to anybody.
  bool Freeing() const;
  bool Returning() const;

  std::optional<GroupId> Ready(
      SlabId id);  // the group that has it; nullopt: no such slab is awaited
  void Failed(SlabId id, const absl::Status& status);
  void Freed(SlabId id);
  absl::Status Unmapped(SessionBooks& session, SlabId id);
  void SessionEnds(SessionBooks& session);  // it maps nothing any more

  Books::Trimmed Trim(uint64_t target_bytes);
  void RetireDoomed();  // those that are empty now
  void TrimOld();       // what stands empty for longer than trim_after goes back
  std::optional<TimePoint> NextTick() const;
  const std::string& device_error() const { return device_error_; }

 private:
  uint64_t LeastBytes(const Wanted& wanted) const { return RoundUp(wanted.bytes, kPageBytes); }
  // The device has just refused as much: not to be asked again so soon.
  bool JustRefused(uint64_t bytes) const {
    return ledger_.now < grow_again_ && bytes >= refused_bytes_;
  }
  // The capacity, or what the device has beside foreign slabs.
  uint64_t Capacity() const;
  // What slabs may hold: that, or what they held when the device had no more, for a while.
  uint64_t Bound() const;
  void Retire(Slab& slab);
  void FreeIfUnmapped(Slab& slab);
  bool Evictable(const Slab& slab) const;  // nothing in it is in use
  bool Cold(const Slab& slab) const;       // nor was for the keep time
  std::vector<Slab*> EmptySlabs() const;   // longest empty first
  // Those not empty: first where every fence is done, longest unused first.
  std::vector<Slab*> EvictableSlabs() const;
  bool Stuck(const Slab& slab) const;  // on its way back for so long that nobody counts on it
  void Doom(Slab& slab, EvictReason reason, Evicted& evicted);

  Ledger& ledger_;
  Eviction& eviction_;
  std::string device_error_;  // of the last slab that the device refused
  TimePoint grow_again_;      // until then this was refused, while slabs held that much:
  uint64_t refused_bytes_ = 0, refused_held_ = 0;
};

}  // namespace nvcv_cached::server::core
