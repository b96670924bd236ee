// The seam between the hot path (thread caches, depot, objects) and the daemon's session below it.
//
// A Session is one table of one epoch with the slabs mapped for it. It outlives its daemon: when the daemon is
// gone the connection *closes* it: it sets REVOKED on every slot (the dead daemon's own verb), so that idle
// entries fail their next Reuse and held ones come back through Returned, and unmaps each slab as soon as
// nothing held lies in it. The hot path therefore needs no look at the connection's state.
//
// Two implementations: the gRPC connection (connection.h) and the tests' in-process one.
// Thread-safety: thread-safe; Returned never blocks and never throws.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/lease_table.h"

namespace nvcv_cached::client {

class Fencer;
class Session;

// One granted block, mapped.
struct Lease {
  Session* session = nullptr;  // lives as long as the process
  lease_table::Slot* slot = nullptr;
  uint32_t slot_index = 0;
  lease_table::Word word;  // HELD for the first of a grant, IDLE for those granted ahead
  void* data = nullptr;    // where the block is mapped in this process
  uint64_t block_bytes = 0;
  uint64_t clock_zero_ms = 0;  // CoarseNowMs() when the table was made: the zero of last_used
  Fencer* fencer = nullptr;    // null: a device without streams
};

struct LeaseRequest {
  uint64_t size_bytes = 0;
  uint64_t alignment = 1;
  uint32_t thread_tag = 0;
  uint32_t ahead = 0;
  std::string spec;
};

// What the device asks of layouts; constant for a connection.
struct DeviceTraits {
  bool is_host = true;
  uint32_t row_alignment = 32;
  uint32_t base_alignment = 512;
};

class LeaseSource {
 public:
  virtual ~LeaseSource() = default;

  // One round trip; connects (and starts a daemon) first if need be. The statuses are mapped to exceptions by
  // errors.h: RESOURCE_EXHAUSTED, UNAVAILABLE, DEADLINE_EXCEEDED, PERMISSION_DENIED, FAILED_PRECONDITION.
  virtual absl::StatusOr<std::vector<Lease>> Acquire(const LeaseRequest& request) = 0;

  // The slot is RETURNED: tell the daemon with the next message, or count it off in a closed session.
  virtual void Returned(const Lease& lease) noexcept = 0;

  // Connects if need be.
  virtual absl::StatusOr<DeviceTraits> Traits() = 0;
};

}  // namespace nvcv_cached::client
