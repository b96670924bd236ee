// The flusher: the background thread of one session that tells the lease table which fences are
// done, and closes slabs when that disturbs nobody.
//
// It sleeps while nothing is dirty. For each dirty timeline it asks (timelines.h: Flush); what
// takes longer than a few looks it hands to the GPU: a private stream waits for the event and
// stores the counter into the table itself, which needs the table's timelines registered with the
// driver (without that it goes on asking). It runs in relaxed capture mode. Closing a slab waits
// for the context's work and blocks every launch of the process, so it is done when all timelines
// are done, or after a patience: a process that is never idle must not keep memory from the others
// for ever.
//
// Invariant: after Stop the thread makes no call of the driver. Thread-safety: thread-safe.
#pragma once

#include <cuda.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "client/src/cuda/gpu.h"
#include "client/src/cuda/timeline_pool.h"
#include "client/src/timelines.h"

namespace nvcv_cached::client {

class Flusher {
 public:
  Flusher(const Gpu& gpu, TimelinePool& pool, lease_table::Table& table);
  ~Flusher();  // stopped

  // Registers the table and makes the private streams, then starts the thread. Making them while
  // work is under way might wait for it. RESOURCE_EXHAUSTED: no thread.
  absl::Status Start();

  // False: it is in the middle of a call that does not return; it will make no further one.
  bool Stop(std::chrono::milliseconds patience) noexcept;

  // Closes a mapping later, then calls `closed` on the flusher's thread.
  void CloseLater(CUdeviceptr data, std::function<void()> closed);

  bool tells_by_gpu() const { return tells_by_gpu_.load(std::memory_order_relaxed); }

 private:
  struct Calls;
  struct Closing {
    CUdeviceptr data;
    std::function<void()> closed;
    std::chrono::steady_clock::time_point at_the_latest;
  };
  enum class Round { kClean, kFresh, kHandedOver };

  void Run();
  void RegisterTable();
  Round LookAtAll(Calls& calls);
  bool CloseWhatWaits(bool idle);
  void Ring() noexcept;

  static constexpr uint32_t kPrivateStreams = 4;

  const Gpu& gpu_;
  TimelinePool& pool_;
  lease_table::Table& table_;
  CUdeviceptr timelines_on_gpu_ = 0;
  CUstream private_streams_[kPrivateStreams] = {};
  std::atomic<bool> tells_by_gpu_{false};
  std::unique_ptr<Flushing[]> flushing_;

  std::atomic<bool> stop_{false};
  std::mutex mutex_;  // what follows
  std::condition_variable stopped_changed_;
  bool runs_ = false;
  std::vector<Closing> closing_;
};

}  // namespace nvcv_cached::client
