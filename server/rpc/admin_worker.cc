#include "server/rpc/admin_worker.h"

#include <algorithm>
#include <utility>

namespace nvcv_cached::server {
namespace {
constexpr std::chrono::milliseconds kLongestRest{20};
}  // namespace

AdminWorker::AdminWorker() : thread_([this] { Run(); }) {}

AdminWorker::~AdminWorker() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wakeup_.notify_one();
  thread_.join();
}

std::optional<AdminWorker::Ticket> AdminWorker::Post(Job job, Time when) {
  std::unique_lock lock(mutex_);
  if (stopping_ || jobs_.size() >= kMaxJobs) return std::nullopt;
  const Ticket ticket(when, ++last_number_);
  jobs_.emplace(ticket, std::move(job));
  lock.unlock();
  wakeup_.notify_one();
  return ticket;
}

void AdminWorker::Remove(const Ticket& ticket) {
  std::unique_lock lock(mutex_);
  auto removed = jobs_.extract(ticket);
  lock.unlock();  // what the job holds is let go without the lock
}

void AdminWorker::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (jobs_.empty()) {
      if (stopping_) return;
      wakeup_.wait(lock);
      continue;
    }
    const Time due = jobs_.begin()->first.first;
    if (!stopping_ && due > std::chrono::steady_clock::now()) {
      wakeup_.wait_until(lock, due);
      continue;
    }
    Job job = std::move(jobs_.begin()->second);
    jobs_.erase(jobs_.begin());
    lock.unlock();
    const Time begun = std::chrono::steady_clock::now();
    job();
    job = nullptr;
    const Time done = std::chrono::steady_clock::now();
    lock.lock();
    // However many ask, those who hold memory have the books for half of the time.
    const Time rested = done + std::min<Time::duration>(done - begun, kLongestRest);
    wakeup_.wait_until(lock, rested, [this] { return stopping_; });
  }
}

}  // namespace nvcv_cached::server
