// The thread on which operators' requests are answered, one after the other.
//
// gRPC's own threads serve the clients' streams: a report over 100,000 leases, or a device that
// does not answer, must not hold them up. Jobs run at or after their time, in its order; after each
// the thread rests for as long as it took. The queue is bounded, so that nobody can bloat the
// daemon with questions.
//
// Invariant: a job that was accepted runs exactly once, also when the worker stops, or is removed
// before it begins. Thread-safety: thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"

namespace nvcv_cached::server {

class AdminWorker {
 public:
  using Job = std::function<void()>;
  using Time = std::chrono::steady_clock::time_point;
  static constexpr size_t kMaxJobs = 1024;

  AdminWorker();
  ~AdminWorker();  // runs what is left, whatever its time
  AdminWorker(const AdminWorker&) = delete;
  AdminWorker& operator=(const AdminWorker&) = delete;

  using Ticket = std::pair<Time, uint64_t>;

  // nullopt: too many wait already, or the worker stops; the job will not run.
  std::optional<Ticket> Post(Job job, Time when = Time::min());
  void Remove(const Ticket& ticket);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable wakeup_;
  std::map<Ticket, Job> jobs_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace nvcv_cached::server
