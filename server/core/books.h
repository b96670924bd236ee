// The daemon's books: who holds which block, what counts toward the limit, who gives way to whom.
//
// A state machine without I/O, threads or locks: messages and events go in as calls, what is to
// happen outside comes out as effects (effects.h). It puts together the parts of this folder: the
// pool (which block), the sessions' books (whose lease), eviction (which victim), the waiting line
// (who is next).
//
// Invariants, checked after every operation in debug builds (CheckInvariants):
//   M1  every block is free, or belongs to exactly one lease; free + in use + idle + draining +
//       quarantined + slack = slab bytes
//   C6  cache_bytes is the sum over the leases on the books, never above the limit
//   M4  a block is granted only to a session of its slab's domain
//
// What clients can write (lease tables, messages) is input (M5): a bad message gets
// INVALID_ARGUMENT, a bad word ends the session (KillSession), and no call loops on what a client
// can change.
//
// Thread-safety: none of its own. The caller holds one mutex around every call
// (server/rpc/broker.h). A call is memory work: microseconds, but for reports and for the search
// for idle memory when the capacity is spent, which walk every block (100,000 take one or two
// milliseconds); text for people is made by who reports.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/lease_table.h"
#include "server/core/clock.h"
#include "server/core/effects.h"
#include "server/core/report.h"
#include "server/core/types.h"

namespace nvcv_cached::server {

struct AcquireRequest {
  RequestId id = 0;
  TimePoint received{};  // when its message came
  uint64_t size_bytes = 0;
  uint64_t alignment = 1;
  uint32_t thread_tag = 0;
  Duration timeout{0};  // how long it may wait for draining memory or a new slab
  uint32_t ahead = 0;   // at most kMaxAhead are granted on top
  std::string spec;
};
inline constexpr uint32_t kMaxAhead = 32;

struct SessionOptions {
  Domain domain;
  std::string name;  // as the client says, for reports and errors
  int32_t pid = 0;
  uint32_t uid = 0;
  std::optional<uint64_t> limit_bytes;
};

// What clear, a lower limit or an eviction did.
struct Evicted {
  uint64_t items = 0;  // idle items whose memory is free or draining now
  uint64_t bytes = 0;
  uint64_t detached_items = 0;  // in use, left the books, come back on release
  uint64_t detached_bytes = 0;
};

// Whose items: all sessions (session 0), one session, or one thread of it.
struct ClearScope {
  SessionId session = 0;
  std::optional<uint32_t> thread_tag = std::nullopt;
};

class Books {
 public:
  // `epoch` numbers this daemon: the versions of the words begin with it.
  Books(const Settings& settings, uint64_t epoch, const Clock& clock);
  ~Books();
  Books(const Books&) = delete;
  Books& operator=(const Books&) = delete;

  // ---- sessions. `table` outlives SessionEnded.
  // Before the first grant: the client has its table (the descriptor socket is connected).
  SessionId OpenSession(const SessionOptions& options, lease_table::Table* table);
  // The four ways in which a session ends. It is over (SessionEnded) when nothing of it is left:
  // after a goodbye as soon as its leases have all come back and it maps nothing; otherwise when
  // its death is proven: the process has exited *and* the descriptor socket is at end of file (M2).
  // Between one and the other, what it left idle or returned is free, what it held is quarantined.
  void SaidGoodbye(SessionId id);
  void ProcessExited(SessionId id);
  void SocketClosed(SessionId id);
  void BrokeProtocol(SessionId id);  // its stream was ended; no more grants

  // ---- requests of clients. Acquire is answered by SendGrant or SendRefusal, at once or later;
  // the others answer here. INVALID_ARGUMENT: the message breaks the contract; the caller ends the
  // stream.
  absl::Status Acquire(SessionId id, AcquireRequest request);
  absl::Status Returned(SessionId id, std::span<const uint32_t> slots);
  absl::Status Unmapped(SessionId id, SlabId slab);
  Evicted SetSessionLimit(SessionId id, uint64_t limit_bytes);

  // ---- the device worker's answers
  void SlabReady(SlabId slab);
  void SlabFailed(SlabId slab, const absl::Status& status);
  void SlabFreed(SlabId slab);

  // ---- the operator. Setters return what they did; settings are read through settings().
  Evicted SetLimit(uint64_t limit_bytes);
  void SetPolicy(Policy policy);
  absl::Status SetQuota(std::optional<SessionId> session, std::optional<uint64_t> quota_bytes);
  void SetCapacity(uint64_t capacity_bytes);
  // Slabs of earlier daemons that are still mapped: the pool plans with what the device has beside
  // them.
  void SetForeign(uint64_t foreign_bytes);
  void SetTrimAfter(Duration trim_after);
  Evicted Clear(const ClearScope& scope);
  // Empty slabs go back to the device; with a target, idle leases are evicted until that much does.
  struct Trimmed {
    uint64_t freed_bytes = 0;
    uint64_t retiring_bytes = 0;  // waits for clients to unmap
    Evicted evicted;
  };
  Trimmed Trim(uint64_t target_bytes);

  // ---- time. Tick looks at draining blocks, deadlines and empty slabs. It is to be called at
  // NextTick (nullopt: nothing can happen without another call; the daemon sleeps).
  void Tick();
  std::optional<TimePoint> NextTick() const;

  // What is to be done outside since the last call, in order.
  Effects TakeEffects();

  // ---- reports, exact at this moment (report.h); those of a scope over all sessions may miss what
  // was returned without a message in the last 10 ms
  const Settings& settings() const;
  Sums GetSums() const;  // whatever the number of leases: a few loads
  Totals GetTotals();
  PoolReport GetPool();
  std::vector<SessionReport> GetSessions();
  std::vector<SlabReport> GetSlabs();
  std::vector<SessionId> Ids() const;  // of all sessions
  // From `first_slot` on, so many leases at most that it takes a fraction of a millisecond.
  LeasePage GetLeases(SessionId session, uint32_t first_slot = 0);
  MapReport GetMap();
  // By spec, most first; of all sessions, ended ones too (0), or of one.
  std::vector<MissReport> GetMisses(SessionId session);
  ScopeReport GetScope(const ClearScope& scope);

  void CheckInvariants() const;  // aborts with what differs; O(everything)

  class Impl;  // books_impl.h; nobody's outside of this folder

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace nvcv_cached::server
