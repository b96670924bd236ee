#include "client/src/turns.h"

#include <signal.h>

#include <algorithm>

#include "client/src/wait_scope.h"

namespace nvcv_cached::client {

absl::Status Turns::Wait(Caller& caller, std::unique_lock<std::mutex>& lock, Deadline deadline) {
  while (true) {
    const Deadline now = Clock::now();
    const Deadline slice = deadline - now < kWaitSlice ? deadline : now + kWaitSlice;
    do {
      if (caller.done) return absl::OkStatus();
      if (CallersFirst() && holder_ == Holder::kNobody) {
        RunEvents(caller, lock, slice);
      } else {
        caller.listens = true;
        caller.wake.wait_until(lock, slice);
        caller.listens = false;
      }
    } while (caller.done || Clock::now() < slice);
    if (slice == deadline) return absl::DeadlineExceededError("");
    // It may have been woken for a turn as its slice ended, and what follows may take long.
    if (holder_ == Holder::kNobody) PassOn();
    lock.unlock();
    const bool interrupted = WaitInterrupted();
    lock.lock();
    if (interrupted) return absl::CancelledError("interrupted while waiting for the daemon");
  }
}

void Turns::RunEvents(Caller& caller, std::unique_lock<std::mutex>& lock, Deadline until) {
  holder_ = Holder::kCaller;
  ++taken_;
  Events& events = *events_;
  // gRPC begins its wait anew at each signal: frequent ones would defeat the deadline. They arrive
  // when the turn is over, one slice late at most.
  sigset_t all, before;
  ::sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::sigdelset(&all, fault);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  bool more = true;
  do {
    lock.unlock();
    more = events.RunOne(until);
    lock.lock();
  } while (more && !hurry_ && !caller.done && Clock::now() < until);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  holder_ = Holder::kNobody;
  if (!more) events_ = nullptr;
  PassOn();
}

void Turns::PassOn() {
  if (CallersFirst()) {
    for (Caller* caller : callers_) {
      if (caller->done || !caller->listens) continue;
      caller->wake.notify_one();
      return;
    }
    // Else it looks by itself before long.
    if (!reader_sleeps_) return;
  }
  reader_.notify_one();
}

void Turns::Leave(Caller& caller) {
  callers_.erase(std::find(callers_.begin(), callers_.end(), &caller));
  // It may have been woken for a turn that it did not take.
  if (holder_ == Holder::kNobody) PassOn();
}

void Turns::Finish(Caller& caller) {
  caller.done = true;
  if (caller.listens) caller.wake.notify_one();
}

void Turns::Take() {
  std::unique_lock lock(mutex_);
  while (holder_ != Holder::kNobody || (CallersFirst() && seen_ != taken_)) {
    if (CallersFirst() && seen_ != taken_) {
      seen_ = taken_;
      reader_.wait_for(lock, kGrace);
    } else {
      reader_sleeps_ = true;
      reader_.wait(lock);
      reader_sleeps_ = false;
    }
  }
  holder_ = Holder::kReader;
  hurry_ = false;
}

void Turns::Offer(Events* events) {
  std::lock_guard lock(mutex_);
  events_ = events;
  holder_ = Holder::kNobody;
  if (!CallersFirst() || callers_.empty()) return;
  seen_ = taken_ - 1;  // whoever waits gets a grace to take it
  PassOn();
}

void Turns::Hurry() {
  std::lock_guard lock(mutex_);
  hurry_ = true;
  if (holder_ == Holder::kNobody) reader_.notify_one();
}

}  // namespace nvcv_cached::client
