// Acquires and the line in which they wait (C8).
//
// A request is served at once, or waits in the line of its group (domain and size class), first
// come first served, until memory that is on its way arrives or its deadline passes. In what order
// it is served, from cheap to dear: quota, table, room under the limits, a free block, reclaim
// (C10), growth, a slab on its way back, any idle lease, slabs of other groups, waiting, refusal.
//
// Thread-safety: none; under the lock of the books.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "server/core/eviction.h"
#include "server/core/ledger.h"
#include "server/core/reclaim.h"
#include "server/core/refusals.h"
#include "server/core/slab_life.h"

namespace nvcv_cached::server::core {

class Requests {
 public:
  Requests(Ledger& ledger, Eviction& eviction, SlabLife& slabs)
      : ledger_(ledger), eviction_(eviction), slabs_(slabs), reclaim_(ledger) {}

  // INVALID_ARGUMENT: no honest client sends this. Anything else is answered by an effect.
  absl::Status Acquire(SessionBooks& session, AcquireRequest request);
  void Drop(SessionId session);  // it is not waiting any more
  // Looks whether those who wait can be served, oldest first; refuses those whose time is over.
  void Serve();
  // A slab has come for this group: it is served before somebody else finds the slab empty and
  // takes it.
  void Serve(GroupId group);
  bool waiting() const { return !deadlines_.empty(); }
  std::optional<TimePoint> NextDeadline() const {
    return deadlines_.empty() ? std::nullopt : std::optional(*deadlines_.begin());
  }

 private:
  struct Waiting {
    SessionId session;
    AcquireRequest request;
    TimePoint deadline;
    uint64_t arrival;
    bool lost =
        false;  // one of this size was taken from it a moment ago, before it could be reused
    bool reclaimed = false, grew = false;
  };
  enum class Outcome : uint8_t { kAnswered, kWaits };

  void Left(const Waiting& waiting);  // it is in no line any more
  Outcome Try(Waiting& waiting);
  bool FitQuota(SessionBooks& session, const AcquireRequest& request);
  bool FindSlot(SessionBooks& session);
  bool FindBlock(SessionBooks& session, Waiting& waiting, Wanted& wanted);
  bool WorthWaiting(const Waiting& waiting, const Wanted& wanted) const;
  void GrantAhead(SessionBooks& session, const AcquireRequest& request, SendGrant& grant);
  Outcome Refuse(SessionBooks& session, const AcquireRequest& request, SendRefusal refusal);
  // One miss, in every account of it.
  void Count(SessionBooks& session, const AcquireRequest& request, uint64_t Misses::*result,
             uint64_t& total);

  Ledger& ledger_;
  Eviction& eviction_;
  SlabLife& slabs_;
  Reclaim reclaim_;
  std::vector<std::deque<Waiting>> lines_;  // by group
  std::multiset<TimePoint> deadlines_;      // of all who wait
  uint64_t arrivals_ = 0;
};

}  // namespace nvcv_cached::server::core
