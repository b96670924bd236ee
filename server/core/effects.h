// What the core wants done in the outside world. The core does no I/O: each call into Books may
// append effects, and whoever holds its lock takes them out and carries them out *in order*. Plain
// data.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "proto/lease_table.h"
#include "server/core/types.h"

namespace nvcv_cached::server {

struct GrantedLease {
  uint32_t slot = 0;
  lease_table::Word word;  // as stored; the first of a grant is HELD, the others IDLE
  Block block;
};

enum class Served : uint8_t { kPool, kReclaim, kGrowth };

// Answer to an Acquire. `new_slabs` are those that the session was not told of, or has unmapped.
struct SendGrant {
  SessionId session = 0;
  RequestId request = 0;
  std::vector<GrantedLease> leases;
  struct NewSlab {
    SlabId id;
    uint64_t size_bytes;
  };
  std::vector<NewSlab> new_slabs;
  Served served = Served::kPool;
};

struct SendRefusal {
  SessionId session = 0;
  RequestId request = 0;
  absl::Status status;  // asked and found, with the holders
  std::string hint;     // what to do
  RefusalReason reason = RefusalReason::kOther;
};

// The session is to unmap the slab; it answers through Books::Unmapped or by its end.
struct SendRetire {
  SessionId session = 0;
  SlabId slab = 0;
};

// The device worker is to make a slab; it answers through Books::SlabReady or Books::SlabFailed
// with the same id. The bytes count against the capacity from this moment.
struct AllocateSlab {
  SlabId slab = 0;
  uint64_t size_bytes = 0;
};

// The device worker is to free a slab that nobody maps any more; it answers through
// Books::SlabFreed.
struct FreeSlab {
  SlabId slab = 0;
};

// The session has broken the rules (a word that no client may write, a slot that is not its own):
// its stream is to be ended with this status. Its memory waits for the proof of its death like any
// other's.
struct KillSession {
  SessionId session = 0;
  absl::Status status;
};

// The session's books are closed, its table and descriptors may go.
struct SessionEnded {
  SessionId session = 0;
  EndCause cause = EndCause::kExit;
};

using Effect = std::variant<SendGrant, SendRefusal, SendRetire, AllocateSlab, FreeSlab, KillSession,
                            SessionEnded>;
using Effects = std::vector<Effect>;

}  // namespace nvcv_cached::server
