// One thread that waits for descriptors and deadlines and calls back: the accept loop is one, the
// death watcher another.
//
// Callbacks run on the loop's thread, one at a time, without locks held, and must not block. Add,
// At and Remove may be called from any thread, callbacks included. After Remove a callback that is
// already running may still finish, but none begins. The loop does not own the descriptors: Remove
// before closing one. Thread-safety: thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "proto/unique_fd.h"
#include "server/rpc/liveness.h"

namespace nvcv_cached::server {

class EventLoop {
 public:
  using Id = uint64_t;
  using Time = std::chrono::steady_clock::time_point;

  explicit EventLoop(std::string thread_name);
  ~EventLoop();  // Stop
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Waits for `events` (EPOLLIN and so on, level-triggered unless EPOLLONESHOT). 0: no watch could
  // be made.
  Id Add(int fd, uint32_t events, std::function<void(uint32_t events)> callback);
  // Calls once, at or after `time`.
  Id At(Time time, std::function<void()> callback);
  void Remove(Id id);

  Pulse GetPulse();

  // No callback runs after it returns (called from a callback: after that one).
  void Stop();

 private:
  struct Watch {
    int fd = -1;  // -1: a deadline
    Time time{};
    std::function<void(uint32_t)> callback;
  };

  void Run();
  int TimeoutMs();
  void CallDue();
  void Wake();

  const std::string name_;
  UniqueFd epoll_;
  UniqueFd wakeup_;
  std::mutex mutex_;
  Id last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::unordered_map<Id, std::shared_ptr<Watch>> watches_ ABSL_GUARDED_BY(mutex_);
  std::multimap<Time, Id> deadlines_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace nvcv_cached::server
