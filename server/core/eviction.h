// Who leaves the books when something new does not fit under a limit (C4, C5, C9).
//
// `lru`: idle leases, the one released longest ago first, across all sessions; when none is idle
// any more, leases in use, which stay valid and come back on release. `clear`: everything at once.
// The daemon's limit looks at all leases, a session's own limit at that session's.
//
// Thread-safety: none; under the lock of the books.
#pragma once

#include <cstdint>
#include <optional>

#include "server/core/ledger.h"

namespace nvcv_cached::server::core {

class Eviction {
 public:
  explicit Eviction(Ledger& ledger) : ledger_(ledger) {}

  // Leaves at most `target_bytes` on the books of the session, or of all (nullptr), by the policy
  // in force.
  void ReduceTo(uint64_t target_bytes, SessionBooks* session, EvictReason reason, Evicted& evicted);
  // Idle leases of the session go until it holds no more than its quota, if that is enough.
  void ApplyQuota(SessionBooks& session);
  // Everything in the scope leaves the books.
  void Clear(SessionBooks* session, std::optional<uint32_t> thread_tag, EvictReason reason,
             Evicted& evicted);

  // The idle lease that was released longest ago, of the session or of all; nullptr: none is idle.
  // Looks at a bounded number of leases that were used since they were seen last; past it, the
  // oldest found serves.
  Lease* OldestIdle(SessionBooks* session);

 private:
  Lease* ScanForIdle(SessionBooks* session);
  Ledger& ledger_;
  uint32_t search_ = 0;
};

}  // namespace nvcv_cached::server::core
