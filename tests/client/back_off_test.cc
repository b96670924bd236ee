// The times between a client's attempts to reach a daemon: USER's 50 ms doubling to 2 s, jittered.
#include "client/src/back_off.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace nvcv_cached::client {
namespace {

const std::vector<int> kMiddlesMs = {50, 100, 200, 400, 800, 1600, 2000, 2000, 2000};

void ExpectAroundTheMiddles(BackOff& back_off) {
  for (const int middle : kMiddlesMs) {
    const auto wait = static_cast<int>(back_off.Next().count());
    EXPECT_GE(wait, middle * 3 / 4) << middle;
    EXPECT_LE(wait, middle * 5 / 4) << middle;
  }
}

TEST(BackOff, DoublesFrom50MsTo2S) {
  for (int run = 0; run < 100; ++run) {
    BackOff back_off;
    ExpectAroundTheMiddles(back_off);
  }
}

TEST(BackOff, BeginsAnewAfterAReset) {
  BackOff back_off;
  ExpectAroundTheMiddles(back_off);
  back_off.Reset();
  ExpectAroundTheMiddles(back_off);
}

// Clients that lost the same daemon at the same moment spread out: over most of the quarter on
// either side, not in step. (A thousand draws all outside of a fifth of it: odds of 1e-97.)
TEST(BackOff, ClientsDoNotComeInStep) {
  std::set<int> sixth;
  for (int client = 0; client < 1000; ++client) {
    BackOff back_off;
    for (int i = 0; i < 5; ++i) back_off.Next();
    sixth.insert(static_cast<int>(back_off.Next().count()));
  }
  EXPECT_GT(sixth.size(), 100u);
  EXPECT_LT(*sixth.begin(), 1600 * 80 / 100);
  EXPECT_GT(*sixth.rbegin(), 1600 * 120 / 100);
}

}  // namespace
}  // namespace nvcv_cached::client
