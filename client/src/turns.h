// Whose turn it is to run the events of a link's stream: a caller's that waits for an answer
// anyway, or the reading thread's.
//
// A caller that reads its own answer needs no other thread to be woken for it, twice for each call:
// half of what a call took. So callers come first. One of them runs events until its answer is
// there, then passes the turn on to the next that waits. The reading thread gives way as soon as
// somebody waits, and takes the turn back when no caller has taken it for kGrace, so that calls in a
// row do not wake it, and notices come at most twice that late.
//
// Invariant: one thread at most has the turn. Only the reading thread runs what comes after a
// stream is over. Thread-safety: `mutex` of the constructor guards everything here; it is not held
// while an event runs.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/status/status.h"

namespace nvcv_cached::client {

class Turns {
 public:
  using Clock = std::chrono::steady_clock;
  using Deadline = Clock::time_point;

  static constexpr std::chrono::milliseconds kGrace{2};

  class Events {
   public:
    virtual ~Events() = default;
    // Runs one event on the calling thread, or none until `until`. False: the stream is over. An
    // exception would keep the turn for good; on the reading thread it would end the process too.
    virtual bool RunOne(Deadline until) noexcept = 0;
  };

  struct Caller {
    bool done = false;
    bool listens = false;
    std::condition_variable wake;
  };

  explicit Turns(std::mutex& mutex) : mutex_(mutex) {}

  // ---- a caller's; mutex held. Enter comes before its message is sent, Leave after its Wait.
  void Enter(Caller& caller) { callers_.push_back(&caller); }
  // Until caller.done or `deadline`; as WaitUntil (wait.h). Events run meanwhile, without the mutex.
  absl::Status Wait(Caller& caller, std::unique_lock<std::mutex>& lock, Deadline deadline);
  void Leave(Caller& caller);
  void Finish(Caller& caller);  // its answer is there; by whoever has it

  // ---- the reading thread's; mutex not held.
  void Take();  // waits until it has the turn
  // Gives it back, with what callers may run from here on; null: nothing.
  void Offer(Events* events);

  // The reading thread is to take the turn at once: there is something that no caller waits for.
  // mutex not held.
  void Hurry();

 private:
  enum class Holder : uint8_t { kNobody, kReader, kCaller };

  void RunEvents(Caller& caller, std::unique_lock<std::mutex>& lock, Deadline until);
  void PassOn();
  bool CallersFirst() const { return events_ != nullptr && !hurry_; }

  std::mutex& mutex_;
  std::vector<Caller*> callers_;
  Events* events_ = nullptr;  // null: the reading thread's alone
  Holder holder_ = Holder::kNobody;
  uint64_t taken_ = 0;  // turns of callers so far
  uint64_t seen_ = 0;   // of them, when the reading thread looked last
  bool hurry_ = false;
  bool reader_sleeps_ = false;  // until it is woken: one caller has had the turn for long
  std::condition_variable reader_;
};

}  // namespace nvcv_cached::client
