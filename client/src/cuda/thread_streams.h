// What a thread knows of streams: its current one, and its timelines of each session, found without
// a lock.
//
// A thread's streams are few: a list that begins with the one used last. When the thread ends, its
// lines go to their pools. Never used by a forked child. Thread-safety: belongs to its thread.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "client/src/cuda/stream_state.h"
#include "client/src/cuda/stream_timeline.h"
#include "client/src/cuda/timeline_pool.h"

namespace nvcv_cached::client {

// The calling thread's lines of one session.
class StreamTable {
 public:
  explicit StreamTable(TimelinePool& pool) : pool_(pool) {}
  ~StreamTable();
  StreamTable(const StreamTable&) = delete;
  StreamTable& operator=(const StreamTable&) = delete;

  TimelinePool& pool() { return pool_; }

  StreamTimeline* last() const { return last_; }

  StreamTimeline* Find(unsigned long long stream_id) {
    if (__builtin_expect(last_ != nullptr && last_->stream_id == stream_id, 1)) return last_;
    for (StreamTimeline* line : lines_) {
      if (line->stream_id == stream_id) return last_ = line;
    }
    return nullptr;
  }

  // Errors of TimelinePool::Bind.
  absl::StatusOr<StreamTimeline*> Bind(const TimelinePool::What& what);

 private:
  // From here on a line of a stream that is done is bound anew rather than another one taken:
  // streams that are made and destroyed again and again do not use up the timelines.
  static constexpr size_t kManyLines = 32;

  TimelinePool& pool_;
  StreamTimeline* last_ = nullptr;
  std::vector<StreamTimeline*> lines_;
};

class ThreadStreams {
 public:
  static ThreadStreams& Mine() {
    if (__builtin_expect(mine_ == nullptr, 0)) Make();
    return *mine_;
  }

  CUstream current() const { return current_; }
  uint64_t generation() const { return generation_; }  // from 1, grows when the current one changes
  const std::shared_ptr<StreamState>& current_state() const { return state_; }
  // Null: the legacy default stream.
  void SetCurrent(std::shared_ptr<StreamState> state);

  StreamTable& TableOf(TimelinePool& pool) {
    if (__builtin_expect(last_ != nullptr && &last_->pool() == &pool, 1)) return *last_;
    return FindTable(pool);
  }

  struct OnGpu {
    const Gpu& gpu;
    CUstream stream;
  };
  // Makes `later` wait for what is on `earlier` now.
  absl::Status Wait(const OnGpu& later, const OnGpu& earlier);

 private:
  ThreadStreams() = default;
  static void Make();
  static void OnThreadExit(void* streams);
  StreamTable& FindTable(TimelinePool& pool);

  static thread_local constinit ThreadStreams* mine_ __attribute__((tls_model("initial-exec")));
  friend struct EndOfThread;

  CUstream current_ = CU_STREAM_LEGACY;
  uint64_t generation_ = 1;
  std::shared_ptr<StreamState> state_;
  StreamTable* last_ = nullptr;
  std::vector<std::unique_ptr<StreamTable>> tables_;
  const Gpu* event_of_ = nullptr;
  CUevent event_ = nullptr;
};

}  // namespace nvcv_cached::client
