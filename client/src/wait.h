// Waiting on a condition with a deadline and, inside a WaitScope, with an ear for the binding's
// interrupts.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/status/status.h"
#include "client/src/wait_scope.h"

namespace nvcv_cached::client {

// Waits until done() or `deadline`. DEADLINE_EXCEEDED without a text; CANCELLED: the caller's
// program wants it back. The lock is released while the binding is asked, so done() may have become
// true meanwhile; the interrupt goes first, for the program has its exception set.
template <class Done>
absl::Status WaitUntil(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
                       std::chrono::steady_clock::time_point deadline, Done done) {
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    const auto slice = deadline - now < kWaitSlice ? deadline : now + kWaitSlice;
    if (changed.wait_until(lock, slice, done)) return absl::OkStatus();
    if (slice == deadline) return absl::DeadlineExceededError("");
    lock.unlock();
    const bool interrupted = WaitInterrupted();
    lock.lock();
    if (interrupted) return absl::CancelledError("interrupted while waiting for the daemon");
  }
}

}  // namespace nvcv_cached::client
