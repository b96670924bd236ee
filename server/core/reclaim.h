// Takes idle leases back for their memory (C8, C10): makes one free extent that a request fits
// into.
//
// A victim alone is often too small, and scattered victims help nobody: what is taken is a run of
// neighbours around the oldest victim that, with the free extents between them, is large enough.
// When there is no such run around a victim, it is left alone. So little more than the request is
// ever thrown away.
//
// Only leases whose fence is done are taken for a request that could be served otherwise. Those of
// other sessions go before the asker's own. Thread-safety: none; under the lock of the books.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/core/ledger.h"

namespace nvcv_cached::server::core {

// The block that is looked for.
struct Wanted {
  GroupId group = 0;
  uint64_t bytes = 0;  // of the block
  uint64_t alignment = kBlockBytes;
  Fit fit = Fit::kClose;
  Mapped mapped;  // of the session that asks
};

class Reclaim {
 public:
  explicit Reclaim(Ledger& ledger) : ledger_(ledger) {}

  // Before the pool grows (C10): leases that were never reused, then those idle for longer than the
  // keep time, oldest first. True: a block that fits is free now.
  bool BeforeGrowth(const SessionBooks& asker, const Wanted& wanted);

  // When the pool cannot grow (C8): any idle leases of the group, as few bytes as possible.
  bool AnyIdle(const Wanted& wanted);
  // The same with leases whose fence is not done: they drain, and the run is free once they have.
  void DrainAny(const Wanted& wanted);

  bool HasFit(const Wanted& wanted) {
    return ledger_.pool.HasFit(wanted.group, wanted.bytes, wanted.alignment, wanted.fit,
                               wanted.mapped);
  }

 private:
  // Which leases may go: those that stand in the way of nothing else.
  struct May {
    const SessionBooks* asker = nullptr;
    bool own_fresh = false, others_kept = false, own_kept = false;
  };
  bool MayTake(const Lease& lease, const May& may) const;
  bool TakeOldest(const Wanted& wanted, Kind kind, const SessionBooks* except,
                  const SessionBooks* only, const May& may);
  std::vector<Lease*> RunAround(Lease& seed, const Wanted& wanted, const May& may) const;
  std::vector<Lease*> CheapestRun(const Wanted& wanted, bool undone_too) const;
  void TakeRun(const std::vector<Lease*>& run);
  static bool Serves(const Slab& slab, const Wanted& wanted) {
    return slab.state == SlabState::kServing && !wanted.mapped.asked.contains(slab.id);
  }
  bool Fits(uint64_t begin, uint64_t end, const Wanted& wanted) const {
    const uint64_t start = RoundUp(begin, wanted.alignment);
    return start <= end && end - start >= wanted.bytes;
  }

  Ledger& ledger_;
  uint32_t search_ = 1u << 31;  // apart from Eviction's
};

}  // namespace nvcv_cached::server::core
