#include "server/rpc/admin_worker.h"

#include <utility>

namespace nvcv_cached::server {

AdminWorker::AdminWorker() : thread_([this] { Run(); }) {}

AdminWorker::~AdminWorker() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wakeup_.notify_one();
  thread_.join();
}

bool AdminWorker::Post(Job job, Time when) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || jobs_.size() >= kMaxJobs) return false;
    jobs_.emplace(when, std::move(job));
  }
  wakeup_.notify_one();
  return true;
}

void AdminWorker::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (jobs_.empty()) {
      if (stopping_) return;
      wakeup_.wait(lock);
      continue;
    }
    const Time due = jobs_.begin()->first;
    if (!stopping_ && due > std::chrono::steady_clock::now()) {
      wakeup_.wait_until(lock, due);
      continue;
    }
    Job job = std::move(jobs_.begin()->second);
    jobs_.erase(jobs_.begin());
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
}

}  // namespace nvcv_cached::server
