// Proof that the daemon's threads do their work: each is asked for an answer, again and again.
//
// A watchdog that the main thread alone feeds proves nothing about the threads that serve. Here
// every one of them has a *pulse*: `ask(answer)` has `answer` called by that thread, on the way
// that its work takes (its event loop, its queue, a call over a connection). Who has not answered
// for `patience` hangs; a thread may say that it is at something that takes longer. The operators'
// thread has no pulse: its line is bounded, so whoever fills it could have the daemon ended.
//
// Time comes from the caller. An answer may come at any time, also after the end of this object.
// Thread-safety: one thread; the answers come from any.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace nvcv_cached::server {

struct Pulse {
  std::string name;
  std::function<void(std::function<void()> answer)> ask;
  // How much longer than usual it may take now; empty: not at all.
  std::function<std::chrono::milliseconds()> extra = {};
};

class Liveness {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Liveness(std::vector<Pulse> pulses);

  // Asks those who have answered, and returns the names of those who hang.
  std::vector<std::string> Beat(Time now, std::chrono::milliseconds patience);

 private:
  struct Asked {
    Pulse pulse;
    Time since{};
    std::shared_ptr<std::atomic<bool>> answered;
  };

  std::vector<Asked> asked_;
};

}  // namespace nvcv_cached::server
