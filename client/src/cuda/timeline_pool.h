// The timelines of one session: their lines, counters and bell, and which of them are free.
//
// Line i is timeline i of the session's lease table. Timeline 0 is never bound
// (fence.h: kNeverDone).
// Invariant: a line on the free list has no owner; it is taken from it only when it may be bound
// anew. in_use of the bell covers every line that was ever bound.
// Thread-safety: thread-safe; the mutex is taken when a thread meets a stream for the first time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "client/src/cuda/gpu.h"
#include "client/src/cuda/stream_timeline.h"
#include "client/src/timelines.h"
#include "proto/lease_table.h"

namespace nvcv_cached::client {

class TimelinePool {
 public:
  TimelinePool(const Gpu& gpu, lease_table::Timeline* done);

  // Makes the join streams and the first events: making one later may wait for the GPU.
  absl::Status Prepare();

  struct What {
    CUstream stream = nullptr;
    unsigned long long stream_id = 0;
    StreamTimeline::Kind kind = StreamTimeline::Kind::kNamed;
    std::shared_ptr<StreamState> keep = nullptr;
  };
  // A line for `owner`. RESOURCE_EXHAUSTED: all are in use; DEVICE_ERROR: the driver made no event.
  absl::StatusOr<StreamTimeline*> Bind(StreamTable* owner, const What& what);

  // Binds one of the owner's own lines anew. False: it may not be bound anew now.
  bool Rebind(StreamTimeline* line, const What& what);

  // The line's thread ends, or wants it no more.
  void Leave(StreamTimeline* line);

  // One of a few streams of ours. Objects used on several streams are joined there, never on a
  // stream of the user's.
  CUstream JoinStream();

  bool IsDone(lease_table::Fence fence) const {
    return lease_table::IsDone(done_, lease_table::kTimelines, fence);
  }
  bool MustWait(lease_table::Fence earlier, const StreamTimeline& line) const {
    return client::MustWait(done_, lease_table::kTimelines, earlier, line.binding);
  }

  StreamTimeline& line(uint16_t timeline) { return lines_[timeline]; }
  lease_table::Timeline& done(uint16_t timeline) { return done_[timeline]; }
  Counter& counter(uint16_t timeline) { return counters_[timeline]; }
  Counter* counters() { return counters_.get(); }
  Bell& bell() { return bell_; }

 private:
  absl::Status MakeEvent(StreamTimeline& line);
  bool MayBindAnew(const StreamTimeline& line) const;
  void Bound(StreamTimeline& line, StreamTable* owner, const What& what);

  static constexpr size_t kJoinStreams = 2;
  static constexpr uint32_t kFirstEvents = 16;

  const Gpu& gpu_;
  lease_table::Timeline* const done_;
  std::unique_ptr<StreamTimeline[]> lines_;
  std::unique_ptr<Counter[]> counters_;
  Bell bell_{};

  std::mutex mutex_;  // what follows
  std::vector<StreamTimeline*> free_;
  uint32_t next_ = 1;
  size_t next_join_ = 0;

  std::array<CUstream, kJoinStreams> joins_{};  // constant from Prepare on
};

}  // namespace nvcv_cached::client
