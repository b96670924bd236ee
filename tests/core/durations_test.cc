// The histograms and what they must agree with: grants, evictions, deaths, refusals.
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

#include "tests/core/world.h"

namespace nvcv_cached::server {
namespace {

using std::chrono::nanoseconds;

template <class Counts>
uint64_t Sum(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

// Of the bucket that the only entry is in; -1: the one above all bounds.
int64_t BoundOfOnly(const Histogram& histogram) {
  EXPECT_EQ(Sum(histogram.counts), 1u);
  for (size_t i = 0; i < Histogram::kBoundsNs.size(); ++i) {
    if (histogram.counts[i] == 1) return Histogram::kBoundsNs[i];
  }
  return -1;
}

TEST(Durations, BucketsIncludeTheirUpperBound) {
  for (const auto& [duration, bound] : {std::pair<int64_t, int64_t>{0, 1000},
                                        {1000, 1000},
                                        {1001, 2500},
                                        {60'000'000'000, 60'000'000'000},
                                        {60'000'000'001, -1}}) {
    Histogram histogram;
    histogram.Add(nanoseconds(duration));
    EXPECT_EQ(BoundOfOnly(histogram), bound) << duration;
    EXPECT_EQ(histogram.sum.count(), duration);
  }
}

TEST(Durations, AcquireCountsEachGrantWithItsWait) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 64 * kMiB;
  World world(settings);
  Client& client = world.Open();
  auto handle = client.Acquire(64 * kMiB);
  Client::Options options;
  options.timeout = Duration(1000);
  client.Return(*handle, Client::Message::kSend, lease_table::Fence(1, 1));
  const RequestId waiting = client.Ask(64 * kMiB, options);
  const Histogram before = world.books.GetTotals().acquire_duration;
  EXPECT_EQ(Sum(before.counts), 1u);
  world.clock.Advance(Duration(80));
  client.FinishFence(1, 1);
  world.Advance(Duration(10));
  ASSERT_TRUE(client.Granted(waiting));
  EXPECT_NE(client.Refused(client.Ask(64 * kMiB)), nullptr);  // no grant, no entry
  const Totals totals = world.books.GetTotals();
  EXPECT_EQ(Sum(totals.acquire_duration.counts),
            totals.misses_pool + totals.misses_reclaim + totals.misses_grow);
  EXPECT_EQ(totals.acquire_duration.sum - before.sum, Duration(90));
}

TEST(Durations, ReclaimCountsEachEvictedItem) {
  World world(SmallSettings());
  Client& client = world.Open();
  std::vector<Handle> handles;
  for (int i = 0; i < 6; ++i) handles.push_back(*client.Acquire(kMiB));
  for (int i = 0; i < 4; ++i) client.Release(handles[i]);
  world.books.SetLimit(3 * kMiB);  // three go idle
  world.books.Clear({});           // one goes idle, two are detached
  const Totals totals = world.books.GetTotals();
  EXPECT_EQ(Sum(totals.evictions), 4u);
  EXPECT_EQ(totals.detached, 2u);
  EXPECT_EQ(Sum(totals.reclaim_duration.counts), 4u);
  EXPECT_EQ(Sum(totals.reclaim_duration.counts), totals.reclaims_taken + totals.reclaims_fence);
}

TEST(Durations, DeathToFreeBeginsWithTheFirstProof) {
  World world(SmallSettings());
  Client& killed = world.Open("killed");
  Client& closed = world.Open("closed");
  ASSERT_TRUE(killed.Acquire(kMiB));
  world.books.ProcessExited(killed.id());
  world.Advance(Duration(300));  // a forked child keeps the socket open
  world.books.SocketClosed(killed.id());
  world.books.SaidGoodbye(closed.id());
  world.Run();
  const Totals totals = world.books.GetTotals();
  EXPECT_EQ(totals.sessions_ended[static_cast<size_t>(EndCause::kExit)], 1u);
  EXPECT_EQ(totals.sessions_ended[static_cast<size_t>(EndCause::kClose)], 1u);
  EXPECT_EQ(BoundOfOnly(totals.death_to_free), 500'000'000);
  EXPECT_EQ(totals.death_to_free.sum, Duration(300));
}

TEST(Durations, RefusalsAreCountedByReason) {
  Settings settings = SmallSettings();
  settings.quota_bytes = 8 * kMiB;
  World world(settings);
  Client& client = world.Open();
  client.Ask(2 * kGiB);
  client.Ask(16 * kMiB);
  client.Ask(16 * kMiB);
  const Totals totals = world.books.GetTotals();
  EXPECT_EQ(totals.refused[static_cast<size_t>(RefusalReason::kOutOfMemory)], 1u);
  EXPECT_EQ(totals.refused[static_cast<size_t>(RefusalReason::kQuota)], 2u);
  EXPECT_EQ(Sum(totals.refused), totals.misses_refused);
}

}  // namespace
}  // namespace nvcv_cached::server
