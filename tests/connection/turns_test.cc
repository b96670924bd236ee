// Who runs a stream's events: callers that wait, else the reading thread. The stream is a queue of
// the test's own.
#include "client/src/turns.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <deque>
#include <future>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "client/src/wait_scope.h"
#include "nvcv_cached/wait_hooks.h"

namespace nvcv_cached::client {
namespace {

using std::chrono::milliseconds;
using Clock = Turns::Clock;

constexpr milliseconds kLong{10000};

// A link as far as turns go: a mutex, the turns, and events that each finish one caller, or none.
class TurnsTest : public ::testing::Test, private Turns::Events {
 protected:
  void SetUp() override {
    reader_ = std::thread([this] {
      while (true) {
        turns_.Take();
        if (over_) break;
        if (begun_.exchange(true)) RunOne(Clock::now() + kLong);
        turns_.Offer(over_ ? nullptr : this);
      }
      reader_ended_ = true;
      turns_.Offer(nullptr);
    });
    ASSERT_TRUE(Soon([&] { return begun_.load(); }));
  }

  void TearDown() override {
    End();
    turns_.Hurry();
    reader_.join();
  }

  struct Call {
    Turns::Caller caller;
    absl::Status status;
  };

  // A call that waits up to `patience` for its answer.
  absl::Status Wait(Call& call, milliseconds patience = kLong) {
    std::unique_lock lock(mutex_);
    turns_.Enter(call.caller);
    call.status = turns_.Wait(call.caller, lock, Clock::now() + patience);
    turns_.Leave(call.caller);
    return call.status;
  }

  std::future<absl::Status> Begin(Call& call, milliseconds patience = kLong) {
    return std::async(std::launch::async, [this, &call, patience] { return Wait(call, patience); });
  }

  void Happen(Call* answered) {
    std::lock_guard lock(queue_mutex_);
    queue_.push_back(answered);
    happened_.notify_all();
  }

  void End() {
    over_ = true;
    Happen(nullptr);
  }

  // As a link does that is closed.
  void Finish(Call& call) {
    std::lock_guard lock(mutex_);
    turns_.Finish(call.caller);
  }

  // The condition within 5 s.
  template <class Condition>
  static bool Soon(Condition condition) {
    const auto deadline = Clock::now() + milliseconds(5000);
    while (!condition()) {
      if (Clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  bool IsRunning(std::thread::id thread) {
    std::lock_guard lock(queue_mutex_);
    return running_ == thread;
  }
  bool SomebodyElseRuns(std::thread::id thread) {
    std::lock_guard lock(queue_mutex_);
    return running_ != std::thread::id() && running_ != thread;
  }
  int RunBy(std::thread::id thread) {
    std::lock_guard lock(queue_mutex_);
    return ran_[thread];
  }
  bool HeldSignalsBack(std::thread::id thread) {
    std::lock_guard lock(queue_mutex_);
    return held_back_[thread];
  }
  std::thread::id reading_thread() const { return reader_.get_id(); }

 private:
  bool RunOne(Turns::Deadline until) noexcept override {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    std::unique_lock lock(queue_mutex_);
    held_back_[std::this_thread::get_id()] = ::sigismember(&mask, SIGALRM) == 1;
    EXPECT_EQ(running_, std::thread::id()) << "two threads run events";
    running_ = std::this_thread::get_id();
    const bool came = happened_.wait_until(lock, until, [&] { return !queue_.empty(); });
    running_ = {};
    if (!came) return !over_;
    Call* const answered = std::exchange(queue_.front(), nullptr);
    queue_.pop_front();
    ++ran_[std::this_thread::get_id()];
    lock.unlock();
    std::lock_guard link(mutex_);
    if (answered != nullptr) turns_.Finish(answered->caller);
    return !over_;
  }

  std::mutex mutex_;
  Turns turns_{mutex_};

  std::mutex queue_mutex_;
  std::condition_variable happened_;
  std::deque<Call*> queue_;
  std::thread::id running_;
  std::map<std::thread::id, int> ran_;
  std::map<std::thread::id, bool> held_back_;

  std::atomic<bool> begun_{false}, over_{false};

 protected:
  std::atomic<bool> reader_ended_{false};

 private:
  std::thread reader_;
};

// Of calls in a row, all but what finds the reading thread waiting run their own events.
TEST_F(TurnsTest, ACallerReadsItsOwnAnswer) {
  Call first;
  Happen(nullptr);  // such as the end of its own write: the reading thread gives way
  Happen(&first);
  EXPECT_TRUE(Wait(first).ok());
  Call second;
  std::future<absl::Status> waiting = Begin(second);
  ASSERT_TRUE(Soon([&] {
    Happen(nullptr);
    return SomebodyElseRuns(reading_thread());
  }));
  const int read_before = RunBy(reading_thread());
  for (int i = 0; i < 100; ++i) Happen(nullptr);
  Happen(&second);
  EXPECT_TRUE(waiting.get().ok());
  // A caller that has been at it for a while looks up, and the reading thread helps out.
  EXPECT_LT(RunBy(reading_thread()) - read_before, 50);
}

TEST_F(TurnsTest, L4_TheTurnGoesToTheNextThatWaits) {
  constexpr int kCalls = 8;
  Call calls[kCalls];
  std::vector<std::future<absl::Status>> waiting;
  for (Call& call : calls) waiting.push_back(Begin(call));
  ASSERT_TRUE(Soon([&] {
    Happen(nullptr);
    return SomebodyElseRuns(reading_thread());
  }));
  for (int i = 0; i < kCalls; ++i) {
    Happen(&calls[i]);
    EXPECT_TRUE(waiting[i].get().ok());
  }
}

TEST_F(TurnsTest, L4_TheReadingThreadTakesTheTurnBack) {
  Call call;
  std::future<absl::Status> waiting = Begin(call);
  ASSERT_TRUE(Soon([&] {
    Happen(nullptr);
    return SomebodyElseRuns(reading_thread());
  }));
  Happen(&call);
  EXPECT_TRUE(waiting.get().ok());
  EXPECT_TRUE(Soon([&] { return IsRunning(reading_thread()); }));
  const int before = RunBy(reading_thread());
  Happen(nullptr);
  EXPECT_TRUE(Soon([&] { return RunBy(reading_thread()) == before + 1; }));
}

// Also after a caller had it for so long that the reading thread sleeps until it is woken.
TEST_F(TurnsTest, L4_ADeadlineGivesTheTurnBack) {
  Call call;
  std::future<absl::Status> waiting = Begin(call, milliseconds(2000));
  ASSERT_TRUE(Soon([&] {
    Happen(nullptr);
    return SomebodyElseRuns(reading_thread());
  }));
  EXPECT_TRUE(absl::IsDeadlineExceeded(waiting.get()));
  EXPECT_TRUE(Soon([&] { return IsRunning(reading_thread()); }));
}

// None of them takes the turn any more that another one passes on as it leaves.
TEST_F(TurnsTest, L4_DeadlinesThatPassTogetherLeaveTheTurnToTheReadingThread) {
  for (int round = 0; round < 20; ++round) {
    Call calls[4];
    std::vector<std::future<absl::Status>> waiting;
    for (Call& call : calls) waiting.push_back(Begin(call, milliseconds(30)));
    Happen(nullptr);  // the reading thread gives way
    for (auto& each : waiting) EXPECT_TRUE(absl::IsDeadlineExceeded(each.get()));
    ASSERT_TRUE(Soon([&] { return IsRunning(reading_thread()); })) << "round " << round;
  }
}

// gRPC's wait begins anew at a signal.
TEST_F(TurnsTest, L4_SignalsWaitForTheEndOfATurn) {
  Call call;
  std::thread::id caller;
  std::future<absl::Status> waiting = std::async(std::launch::async, [&] {
    caller = std::this_thread::get_id();
    const absl::Status status = Wait(call);
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    EXPECT_EQ(::sigismember(&mask, SIGALRM), 0) << "and come after it";
    return status;
  });
  ASSERT_TRUE(Soon([&] {
    Happen(nullptr);
    return SomebodyElseRuns(reading_thread());
  }));
  Happen(&call);
  EXPECT_TRUE(waiting.get().ok());
  EXPECT_TRUE(HeldSignalsBack(caller));
}

std::atomic<bool> asked{false}, answer_now{false};

// The binding is asked without the turn: it may wait for its interpreter's lock as long as it
// likes.
TEST_F(TurnsTest, L4_NobodyWaitsForAThreadThatIsAskedWhetherToStop) {
  asked = answer_now = false;
  set_wait_hooks({.begin = [] { return static_cast<void*>(&asked); },
                  .end = [](void*) {},
                  .interrupted =
                      [] {
                        asked = true;
                        return Soon([] { return answer_now.load(); });
                      }});
  Call stuck, other;
  std::future<absl::Status> interrupted = std::async(std::launch::async, [&] {
    WaitScope scope;
    return Wait(stuck);
  });
  ASSERT_TRUE(Soon([] { return asked.load(); }));
  Happen(&other);
  EXPECT_TRUE(Wait(other, milliseconds(4000)).ok());
  answer_now = true;
  EXPECT_TRUE(absl::IsCancelled(interrupted.get()));
  set_wait_hooks({});
}

TEST_F(TurnsTest, TheEndIsTheReadingThreads) {
  Call call;
  std::future<absl::Status> waiting = Begin(call);
  ASSERT_TRUE(Soon([&] {
    Happen(nullptr);
    return SomebodyElseRuns(reading_thread());
  }));
  End();
  EXPECT_TRUE(Soon([&] { return reader_ended_.load(); }));
  Finish(call);
  EXPECT_TRUE(waiting.get().ok());
}

// Every answer arrives while callers come and go and nobody else makes an event.
TEST_F(TurnsTest, L4_NoAnswerIsLeftLying) {
  constexpr int kThreads = 4, kCalls = 500;
  std::vector<std::thread> threads;
  std::atomic<int> answered{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i) {
        Call call;
        if ((i + t) % 3 == 0) std::this_thread::yield();
        Happen(&call);
        answered += Wait(call).ok();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, kThreads * kCalls);
}

}  // namespace
}  // namespace nvcv_cached::client
