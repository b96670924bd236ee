// Streams and events of the fake driver: a stream is a thread that runs closures in order.
//
// An event remembers the point of its last record; a wait keeps the point it began with, as CUDA's
// does. Of the blocking streams the per-thread ones alone synchronise with the legacy stream: less
// is ordered here than on a GPU, never more. Nothing is destroyed before the process ends.
// Thread-safety: thread-safe.
#pragma once

#include <cuda.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace fake_cuda {

class Point {
 public:
  bool reached() const { return reached_.load(std::memory_order_acquire); }
  void Reach() {
    {
      std::lock_guard lock(mutex_);
      reached_.store(true, std::memory_order_release);
    }
    changed_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reached(); });
  }

 private:
  std::atomic<bool> reached_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
};

struct Graph;

enum class Kind { kLegacy, kPerThread, kMade };

class Stream {
 public:
  Stream(CUcontext context, uint64_t id, Kind kind) : context_(context), id_(id), kind_(kind) {
    std::thread([this] { Run(); }).detach();
  }
  CUcontext context() const { return context_; }
  uint64_t id() const { return id_; }
  Kind kind() const { return kind_; }

  void Push(std::function<void()> work) {
    {
      std::lock_guard lock(mutex_);
      if (capturing_ != nullptr) return;  // it belongs to the graph, which runs nothing here
      queue_.push_back(std::move(work));
    }
    changed_.notify_all();
  }
  std::shared_ptr<Point> Mark() {
    auto point = std::make_shared<Point>();
    Push([point] { point->Reach(); });
    return point;
  }
  bool idle() {
    std::lock_guard lock(mutex_);
    return queue_.empty() && !running_;
  }

  void Capture(Graph* graph) {
    std::lock_guard lock(mutex_);
    capturing_ = graph;
    is_lost_ = false;
  }
  Graph* capturing() {
    std::lock_guard lock(mutex_);
    return capturing_;
  }
  // Somebody did what a capture does not stand: it yields no graph any more.
  void LoseCapture() {
    std::lock_guard lock(mutex_);
    is_lost_ = true;
  }
  bool is_lost() {
    std::lock_guard lock(mutex_);
    return is_lost_;
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return !queue_.empty(); });
      std::function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      running_ = true;
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
      running_ = false;
    }
  }

  const CUcontext context_;
  const uint64_t id_;
  const Kind kind_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool running_ = false;
  Graph* capturing_ = nullptr;
  bool is_lost_ = false;
};

struct Event {
  std::mutex mutex;
  std::shared_ptr<Point> last;  // nullptr: never recorded, which counts as reached
};

}  // namespace fake_cuda
