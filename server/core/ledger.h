// The entries of the books: every lease's way from grant to free, and the sums that follow it.
//
//   Grant -> cached ----------> Take (idle) -> draining -> free
//        \        \---> Take (in use) -> detached \-> free at once when the fence is done
//         -> detached (uncached) ---------------------> Look (RETURNED) -> draining or free
//
// Nothing is decided here about who must give way (eviction.h, reclaim.h) or who is next
// (requests.h); those move leases through these functions only, so that sums, index, pool and words
// stay in step.
//
// Invariants: cache_bytes, leased and draining bytes are the sums over the sessions'; a word that
// no honest client could have written condemns its session and is otherwise treated as in use (M5).
// Thread-safety: none; under the lock of the books.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/core/books.h"
#include "server/core/clock.h"
#include "server/core/effects.h"
#include "server/core/lease.h"
#include "server/core/lru_index.h"
#include "server/core/pool.h"
#include "server/core/report.h"
#include "server/core/session_books.h"
#include "server/core/types.h"

namespace nvcv_cached::server::core {

// What a look at a lease's slot has found.
enum class Sight : uint8_t { kHeld, kIdle, kGone };  // gone: given back; free or draining now

// How a block is granted: the states of lease_table.h. kKept: held, and known to be reused.
enum class GrantAs : uint8_t { kHeld, kKept, kUncached, kAhead };

struct Ledger {
  Ledger(const Settings& settings_in, uint64_t epoch_in, const Clock& clock_in)
      : settings(settings_in), epoch(epoch_in), clock(clock_in), started(clock_in.Now()) {
    ReadClock();
  }

  // ---- the time of the call that is going on
  void ReadClock() {
    now = clock.Now();
    victim_since = now;
    now_ms = static_cast<uint64_t>(std::chrono::duration_cast<Duration>(now - started).count());
  }

  // ---- leases
  // Gives the block of `bytes` to the session, or says why not.
  enum class GrantResult : uint8_t { kGranted, kNoBlock, kTableFull, kPoisoned };
  GrantResult Grant(SessionBooks& session, const AcquireRequest& request, GrantAs as, Fit fit,
                    SendGrant& grant);
  uint64_t BlockBytes(uint64_t size_bytes) const;

  // Looks at the slot and lets the books follow: a later use moves it in the index, a return takes
  // it off the books and frees it when its fence is done. Works on leases in any state but vacant.
  Sight Look(Lease& lease);
  // The same without changing anything. Settled leases show as kGone.
  Sight Peek(const Lease& lease) const;
  bool FenceDone(const Lease& lease) const;

  // Takes a cached lease off the books, whatever its state. An item that was idle is evicted: its
  // memory is free or draining now. One that was in use is detached.
  void Take(Lease& lease, EvictReason reason, Evicted& evicted);
  // The session is over or leaves: everything of it leaves the books, without counting as evicted.
  void TakeAll(SessionBooks& session);
  // Proof of death: every block is free, whatever its word and fence say.
  void FreeAll(SessionBooks& session);
  // Looks at each draining lease again. True: some became free.
  void LookAtDraining();
  // Looks at every slot of the session, or of all: what was returned without a message is found
  // here.
  void LookAtAll(SessionBooks& session);

  void Condemn(SessionBooks& session, const char* what, Lease& lease);

  uint64_t LimitOf(const SessionBooks& session) const {
    return session.options.limit_bytes
               ? std::min(*session.options.limit_bytes, settings.limit_bytes)
               : settings.limit_bytes;
  }
  std::optional<uint64_t> QuotaOf(const SessionBooks& session) const {
    return session.has_own_quota ? session.own_quota : settings.quota_bytes;
  }
  SessionBooks* Find(SessionId id) {
    auto it = sessions.find(id);
    return it == sessions.end() ? nullptr : it->second.get();
  }

  Settings settings;
  const uint64_t epoch;
  const Clock& clock;
  const TimePoint started;
  TimePoint now;
  uint64_t now_ms = 0;
  TimePoint victim_since;  // when the search for the next idle lease to take began

  Pool pool;
  LruIndex index;
  std::map<SessionId, std::unique_ptr<SessionBooks>> sessions;
  std::vector<Lease*> draining;
  size_t draining_lied = 0;  // of these: nothing will come of them before the session's end
  std::vector<SessionId>
      condemned;  // broke the rules in this call; their books are closed at its end
  uint64_t cache_bytes = 0, cache_items = 0;
  // For texts: found by looking at every slot, so not too often (refusals.cc).
  uint64_t idle_bytes = 0;
  std::optional<TimePoint> idle_counted;
  uint64_t foreign_bytes = 0;  // slabs of earlier daemons that are still mapped
  uint64_t freed = 0;  // counts blocks that became free; who waits looks whether it has changed
  Totals totals;
  MissTable misses_by_spec{256};  // of all sessions, those that have ended too
  Effects effects;

 private:
  void LeaveBooks(Lease& lease);     // cached -> detached
  void StartDraining(Lease& lease);  // detached -> draining
  bool TryReap(Lease& lease);        // draining -> vacant
  void FreeBlock(Lease& lease);      // -> vacant, the slot not touched
  bool Plausible(const Lease& lease, lease_table::Word word) const;
};

}  // namespace nvcv_cached::server::core
