// What the daemon knows of one session: its leases by slot, what it holds in bytes, which slabs it
// maps, and which of the events that end a session have happened.
//
// Invariant: leased_bytes, cache_bytes, cache_items and draining_bytes are the sums over its
// leases; a slot is vacant, or spoiled (the client wrote into it while it was the daemon's), or has
// a lease. Thread-safety: none; under the lock of the books.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "proto/lease_table.h"
#include "server/core/books.h"
#include "server/core/lease.h"
#include "server/core/lru_index.h"
#include "server/core/miss_table.h"
#include "server/core/pool.h"

namespace nvcv_cached::server::core {

struct Hits {
  uint64_t exact = 0, size_class = 0, depot = 0;
  uint64_t sum() const { return exact + size_class + depot; }
};

struct SessionBooks {
  SessionId id = 0;
  SessionOptions options;
  lease_table::Table* table = nullptr;
  TimePoint opened, last_message;
  uint64_t opened_ms = 0;
  GroupId small_group = 0;  // the large one follows

  // What has happened to it. Proof of death is `exited` and `socket_closed` together (M2).
  bool leaving = false, broken = false, exited = false, socket_closed = false;
  std::optional<TimePoint> dying_since;  // the first of the two proofs

  uint64_t leased_bytes = 0, cache_bytes = 0, cache_items = 0, draining_bytes = 0;
  uint32_t leases = 0;   // slots that are not vacant, spoiled ones not counted
  uint32_t pending = 0;  // requests in a waiting line
  bool has_own_quota = false;
  std::optional<uint64_t> own_quota;
  SlabSet mapped;  // slabs that it has been told of and has not unmapped
  SlabSet asked;   // of these: it has been told to
  SessionQueues queues;

  // Sizes of leases that were taken before they were ever reused, newest last. One that is asked
  // for again within the keep time would have been reused: its next lease counts as such from the
  // start, or processes that use several specs in turn would take them from each other for ever
  // (C10).
  struct Lost {
    uint64_t size_bytes, at_ms;
  };
  std::deque<Lost> lost;
  bool TakeLost(uint64_t size_bytes, uint64_t since_ms);

  Misses misses;
  std::vector<Misses> misses_by_tag;
  MissTable misses_by_spec{64};
  std::vector<Hits> lines_seen;  // what the client's counters said last
  std::vector<Hits> hits_by_tag;
  Hits hits;

  GroupId group(SizeClass size_class) const {
    return small_group + (size_class == SizeClass::kLarge ? 1 : 0);
  }
  Mapped maps() const { return {mapped, asked}; }
  bool serves() const { return !leaving && !broken && !exited && !socket_closed; }
  bool dead() const { return broken || exited || socket_closed; }  // what it holds is quarantined
  bool proven_gone() const { return exited && socket_closed; }

  lease_table::Slot& slot(uint32_t index) const { return table->slots[index]; }
  // A slot that nobody has, or nullptr: the table is full. The lease's word is what the daemon
  // stored last.
  Lease* TakeVacant(uint64_t epoch);
  void PutVacant(Lease* lease) { vacant_.push_back(lease->slot); }
  bool HasVacant() const { return !vacant_.empty() || granted_slots_ < lease_table::kSlots; }
  uint32_t granted_slots() const {
    return granted_slots_;
  }  // below this every slot was granted once
  Lease& lease(uint32_t index) const { return (*chunks_[index / kChunk])[index % kChunk]; }

  template <class F>
  void ForEachLease(F&& f) const {
    for (uint32_t i = 0; i < granted_slots_; ++i) {
      if (Lease& found = lease(i); found.state != LeaseState::kVacant) f(found);
    }
  }

  // The thread that the lease belongs to now; what the client writes is checked for its range.
  uint32_t ThreadTag(const Lease& lease) const;
  // Milliseconds of the daemon's clock at the last release, never later than now.
  uint64_t LastUsedMs(const Lease& lease, uint64_t now_ms) const;
  // Adds what the client has counted since the last call.
  void SumCounters();

 private:
  static constexpr uint32_t kChunk = 256;
  std::vector<std::unique_ptr<std::array<Lease, kChunk>>> chunks_;
  std::vector<uint32_t> vacant_;
  uint32_t granted_slots_ = 0;
};

}  // namespace nvcv_cached::server::core
