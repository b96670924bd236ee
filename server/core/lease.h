// A lease as the daemon knows it, whatever the client has written into the slot since.
//
//   kVacant    nobody has the slot; `word` is the EMPTY word that the daemon stored last
//   kCached    on the books: counts toward the limit, stands in its session's queues (lru_index.h)
//   kDetached  off the books (revoked) but perhaps in use: uncached, or taken while it was held
//   kDraining  given back or taken while idle; only its fence stands before the block is free
//
// Invariant: a lease that is not vacant has exactly one block, and the block names the lease.
// Thread-safety: none; under the lock of the books.
#pragma once

#include <compare>
#include <cstdint>

#include "proto/lease_table.h"
#include "server/core/report.h"
#include "server/core/types.h"

namespace nvcv_cached::server::core {

struct Extent;
struct SessionBooks;

enum class LeaseState : uint8_t { kVacant, kCached, kDetached, kDraining };

// What LRU goes by: milliseconds of the daemon's clock, ties by the order in which they were seen.
struct LruKey {
  uint64_t used_ms = 0;
  uint64_t seq = 0;
  friend auto operator<=>(const LruKey&, const LruKey&) = default;
};

inline constexpr uint32_t kNowhere = UINT32_MAX;

struct Lease {
  SessionBooks* session = nullptr;
  Extent* extent = nullptr;
  uint64_t size_bytes = 0;  // as asked: what counts
  lease_table::Word word;   // the last one seen or stored
  uint64_t first_release =
      0;  // the version after its first use; a later one means that it was reused
  LruKey key;
  uint32_t slot = 0;
  uint32_t thread_tag = 0;
  uint32_t heap_at = kNowhere;      // place in its queue
  uint32_t draining_at = kNowhere;  // place in the list of draining leases
  uint32_t search = 0;              // the last search that looked at it
  LeaseState state = LeaseState::kVacant;
  SizeClass size_class = SizeClass::kSmall;
  BlockState seen = BlockState::kInUse;  // when the last report looked
  bool reused = false;                   // seen to have been hit
  bool lied = false;  // its word was nonsense once: in use until the process is proven gone

  bool leased() const { return state == LeaseState::kCached || state == LeaseState::kDetached; }
};

}  // namespace nvcv_cached::server::core
