#include "server/rpc/liveness.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace nvcv_cached::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A thread that answers when the test says so.
struct Thread {
  std::vector<std::function<void()>> asked;
  milliseconds extra{0};

  Pulse GetPulse(std::string name) {
    return {.name = std::move(name),
            .ask = [this](std::function<void()> answer) { asked.push_back(std::move(answer)); },
            .extra = [this] { return extra; }};
  }
  void Answer() {
    asked.back()();
    asked.pop_back();
  }
};

using Names = std::vector<std::string>;

TEST(Liveness, NamesWhoeverHasNotAnsweredForTooLong) {
  Thread a, b;
  Liveness liveness({a.GetPulse("a"), b.GetPulse("b")});
  const Liveness::Time begin{};
  EXPECT_EQ(liveness.Beat(begin, seconds(5)), Names{});
  a.Answer();
  EXPECT_EQ(liveness.Beat(begin + seconds(3), seconds(5)), Names{});
  EXPECT_EQ(liveness.Beat(begin + seconds(5), seconds(5)), Names{"b"});
  EXPECT_EQ(liveness.Beat(begin + seconds(8), seconds(5)), (Names{"a", "b"}));
  b.Answer();
  EXPECT_EQ(liveness.Beat(begin + seconds(9), seconds(5)), Names{"a"});
}

TEST(Liveness, AsksNobodyTwice) {
  Thread a;
  Liveness liveness({a.GetPulse("a")});
  for (int i = 0; i < 3; ++i) liveness.Beat(Liveness::Time{} + seconds(i), seconds(5));
  EXPECT_EQ(a.asked.size(), 1u);
}

TEST(Liveness, ALongJobHasItsTime) {
  Thread a;
  a.extra = milliseconds(10'000);
  Liveness liveness({a.GetPulse("a")});
  const Liveness::Time begin{};
  liveness.Beat(begin, seconds(5));
  EXPECT_EQ(liveness.Beat(begin + seconds(14), seconds(5)), Names{});
  EXPECT_EQ(liveness.Beat(begin + seconds(15), seconds(5)), Names{"a"});
}

}  // namespace
}  // namespace nvcv_cached::server
