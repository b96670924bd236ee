// What the books tell people: the rows of Admin's replies and of the error that names the holders.
// Plain data, sizes in bytes; proto/nvcv_cached/v1/admin.proto defines each number.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "proto/lease_table.h"
#include "server/core/histogram.h"
#include "server/core/types.h"

namespace nvcv_cached::server {

struct Totals {
  uint64_t hits_exact = 0, hits_size_class = 0, hits_depot = 0;
  uint64_t misses_pool = 0, misses_reclaim = 0, misses_grow = 0, misses_refused = 0;
  uint64_t uncached_grants = 0, detached = 0, granted_ahead = 0;
  std::array<uint64_t, kEvictReasons> evictions{}, evicted_bytes{};
  uint64_t reclaims_taken = 0, reclaims_lost = 0, reclaims_fence = 0;
  uint64_t sessions = 0;
  std::array<uint64_t, kEndCauses> sessions_ended{};
  uint64_t slab_allocations = 0, slab_frees = 0;
  std::array<uint64_t, kRefusalReasons> refused{};  // sum to misses_refused
  Histogram acquire_duration, reclaim_duration, death_to_free;
};

// What is known without a look at any slot.
struct Sums {
  uint64_t cache_bytes = 0, cache_items = 0, limit_bytes = 0, pool_bytes = 0;
  uint32_t sessions = 0;
};

// The first six sum to pool_bytes.
struct PoolReport {
  uint64_t in_use = 0, idle = 0, draining = 0, quarantined = 0, free = 0, slack = 0;
  uint64_t pool_bytes = 0, capacity_bytes = 0, largest_free_bytes = 0, foreign_bytes = 0;
  uint64_t cache_bytes = 0, cache_items = 0, limit_bytes = 0;
  uint64_t leases_in_use = 0, leases_idle = 0, leases_draining = 0, leases_quarantined = 0;
  uint32_t sessions = 0, slabs = 0;
};

enum class SessionState : uint8_t { kOpen, kLeaving, kDead };

struct SessionReport {
  SessionId id = 0;
  int32_t pid = 0;
  uint32_t uid = 0;
  std::string name;  // as the client says, cut
  Domain domain;
  SessionState state = SessionState::kOpen;
  double age_seconds = 0, last_seen_seconds = 0;
  uint64_t in_use = 0, idle = 0, quarantined = 0, leases = 0, cache_bytes = 0;
  uint64_t hits = 0, misses = 0;
  std::optional<uint64_t> quota_bytes, limit_bytes;
};

enum class BlockState : uint8_t { kFree, kInUse, kIdle, kDraining, kQuarantined };

struct SlabReport {
  SlabId id = 0;
  uint64_t size_bytes = 0;
  Domain domain;
  SizeClass size_class = SizeClass::kLarge;
  bool retiring = false;
  uint32_t mapped_by = 0;
  struct Extent {
    uint64_t offset, size;
    BlockState state;
    SessionId session;    // 0: free
    uint64_t size_bytes;  // of the lease; free: 0
  };
  std::vector<Extent> extents;  // in order, without gaps
};

struct LeaseReport {
  uint32_t slot = 0;
  BlockState state = BlockState::kInUse;
  uint64_t size_bytes = 0;
  Block block;
  std::array<char, lease_table::kSpecBytes>
      spec{};                // whatever the client wrote, perhaps without an end
  double idle_seconds = -1;  // < 0: in use
  bool cached = false;
};

// Some leases of one session, by slot.
struct LeasePage {
  std::string session_name;  // as the client says, cut
  std::vector<LeaseReport> leases;
  std::optional<uint32_t> next_slot;  // where the next page begins
};

// How misses were served.
struct Misses {
  uint64_t pool = 0, reclaim = 0, grow = 0, refused = 0;
  uint64_t sum() const { return pool + reclaim + grow + refused; }
  void Add(const Misses& other) {
    pool += other.pool;
    reclaim += other.reclaim;
    grow += other.grow;
    refused += other.refused;
  }
};

// The misses of one spec; an empty spec: of those that found no room in the table.
struct MissReport : Misses {
  std::string spec;         // printable ASCII
  uint64_t size_bytes = 0;  // the largest request
};

// All of it at one moment: the sums over sessions and extents are those of the pool.
struct MapReport {
  Totals totals;
  PoolReport pool;
  std::vector<SessionReport> sessions;
  std::vector<SlabReport> slabs;
};

// What counts toward the limit in a scope.
struct ScopeReport {
  uint64_t items = 0, bytes = 0;
  std::optional<uint64_t> session_limit_bytes;
  uint64_t daemon_limit_bytes = 0;
  uint64_t hits_exact = 0, hits_size_class = 0, hits_depot = 0;
  uint64_t misses = 0, misses_reclaim = 0, misses_grow = 0, refused = 0;
};

}  // namespace nvcv_cached::server
