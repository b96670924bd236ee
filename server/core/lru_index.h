// The order in which leases on the books were last used, as far as the daemon has seen.
//
// Clients release and reuse without telling anybody, so a key is a lower bound: the lease was used
// then, or since. Whoever takes the oldest looks at its slot first and puts it back further behind
// if it was used since (eviction.cc). Two levels: each session has its queues (by size class, and
// whether the lease was ever reused); each group orders the heads of its sessions' queues. So the
// oldest of a session, of a group, of a group without one session and of all are each found without
// scanning.
//
// Invariant: every lease in state kCached that is not set aside by a search is in exactly one
// queue. Thread-safety: none; under the lock of the books.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "server/core/lease.h"
#include "server/core/pool.h"

namespace nvcv_cached::server::core {

// A binary heap that knows where each lease is.
class LeaseQueue {
 public:
  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  Lease* top() const { return heap_.front().lease; }
  LruKey top_key() const { return heap_.front().key; }
  void Push(Lease* lease);
  void Erase(Lease* lease);

 private:
  struct Entry {
    LruKey key;
    Lease* lease;
  };
  void Place(size_t at, Entry entry) {
    heap_[at] = entry;
    entry.lease->heap_at = static_cast<uint32_t>(at);
  }
  void Up(size_t at, Entry entry);
  void Down(size_t at, Entry entry);
  std::vector<Entry> heap_;
};

enum class Kind : uint8_t { kFresh, kReused };  // fresh: never reused, as far as seen
inline constexpr size_t kKinds = 2;

// A session's part of the index.
struct SessionQueues {
  struct Queue {
    LeaseQueue leases;
    std::optional<LruKey> registered;  // as its group knows it
  };
  std::array<std::array<Queue, kKinds>, 2> by_class;  // [size class][kind]
};

class LruIndex {
 public:
  void Add(Lease* lease);
  void Remove(Lease* lease);  // nothing when it is not in
  // Seen used at `used_ms`, or still in use.
  void Rekey(Lease* lease, LruKey key);
  uint64_t NextSeq() { return ++seq_; }

  // The one with the smallest key; nullptr: there is none.
  Lease* Oldest() const;
  static Lease* Oldest(const SessionBooks& session);
  static Lease* Oldest(const SessionBooks& session, SizeClass size_class, Kind kind);
  Lease* Oldest(GroupId group, Kind kind, const SessionBooks* except) const;

 private:
  using Heads = std::set<std::pair<LruKey, SessionBooks*>>;
  void Register(SessionBooks* session, SizeClass size_class, Kind kind);
  std::vector<std::array<Heads, kKinds>> groups_;
  uint64_t seq_ = 0;
};

}  // namespace nvcv_cached::server::core
