// A timeline of this process: one event and one counter, bound to one thread's use of one stream.
//
// A line is bound by its thread, in a TimelinePool; it may be bound anew, to whatever stream, only
// when everything on it is done and no object in use names it. Its number, its counter and its
// event stay. Invariant: handed_out >= taken_back + taken_elsewhere; the difference is the objects
// in use that name the line. Thread-safety: written by the thread it is bound to, but for the
// atomics; a thread that releases an object naming a line reads what binding it wrote (the object's
// way to that thread orders both).
#pragma once

#include <cuda.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "client/src/cuda/stream_state.h"
#include "client/src/timelines.h"
#include "proto/lease_table.h"

namespace nvcv_cached::client {

class StreamTable;

struct alignas(lease_table::kLine) StreamTimeline {
  enum class Kind : uint8_t {
    kLegacy,     // the context's legacy default stream
    kPerThread,  // the per-thread default stream of the thread it is bound to
    kOwned,      // a stream that `keep` keeps from being destroyed
    kNamed,      // a handle from outside: it may be dead by the time of the release
    kPrivate,    // a stream of ours, for joins
    kContext,    // no stream: everything in the context
  };

  Binding binding;
  CUevent event = nullptr;
  CUstream stream = nullptr;
  unsigned long long stream_id = 0;
  Kind kind = Kind::kNamed;
  std::atomic<StreamTable*> owner{nullptr};  // null: its thread has ended, or it never had one
  // Of ThreadStreams: while it is the thread's, the stream has been current since it was last asked
  // for its id, so it is alive and the same. 0: never.
  uint64_t current_since = 0;
  uint64_t handed_out = 0;
  uint64_t taken_back = 0;

  alignas(lease_table::kLine) std::atomic<uint64_t> taken_elsewhere{0};
  std::shared_ptr<StreamState> keep;

  bool IsNamed() const {
    return handed_out != taken_back + taken_elsewhere.load(std::memory_order_acquire);
  }
};

// One more line that an object in use names, beside the first.
struct FurtherUse {
  StreamTimeline* line;
  FurtherUse* next;
};

}  // namespace nvcv_cached::client
