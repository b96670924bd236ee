// When slabs come and go (M3, L2), and whom they serve (M4).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/core/world.h"

namespace nvcv_cached::server {
namespace {

using lease_table::Fence;

TEST(Slabs, M3_ASlabIsFreedOnlyWhenNobodyMapsIt) {
  World world(SmallSettings());
  Client& a = world.Open("a");
  Client& b = world.Open("b");
  Client& silent = world.Open("silent");
  silent.unmaps = false;
  std::vector<Handle> handles;
  for (Client* client : {&a, &b, &silent}) {
    auto handle = client->Acquire(kMiB);
    EXPECT_EQ(client->slabs.size(), 1u);
    client->Return(*handle);
  }
  const Books::Trimmed trimmed = world.books.Trim(0);
  EXPECT_EQ(trimmed.freed_bytes, 0u);
  EXPECT_EQ(trimmed.retiring_bytes, 64 * kMiB);
  world.Run();
  EXPECT_TRUE(a.slabs.empty());
  ASSERT_EQ(silent.retiring.size(), 1u);
  EXPECT_EQ(world.device_bytes, 64 * kMiB);
  EXPECT_TRUE(world.books.GetSlabs().at(0).retiring);
  EXPECT_EQ(world.books.GetSlabs().at(0).mapped_by, 1u);
  // Nothing is granted from it while there is other memory.
  const SlabId retiring = *silent.retiring.begin();
  EXPECT_NE(a.Acquire(kMiB)->block.slab, retiring);
  EXPECT_NE(silent.Acquire(kMiB)->block.slab, retiring);
  ASSERT_TRUE(world.books.Unmapped(silent.id(), retiring).ok());
  world.Run();
  EXPECT_EQ(world.device_bytes, 64 * kMiB);
  EXPECT_EQ(world.books.GetTotals().slab_frees, 1u);
}

TEST(Slabs, L2_WhatASilentProcessMapsServesOthersWhenNothingElseCan) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 64 * kMiB;
  World world(settings);
  Client& a = world.Open("a");
  Client& silent = world.Open("silent");
  silent.unmaps = false;
  auto handle = silent.Acquire(kMiB);
  silent.Return(*handle);
  world.books.Trim(0);
  world.Run();
  ASSERT_EQ(silent.retiring.size(), 1u);
  const SlabId slab = *silent.retiring.begin();
  auto of_a = a.Acquire(kMiB);
  ASSERT_TRUE(of_a);
  EXPECT_EQ(of_a->block.slab, slab);
  EXPECT_FALSE(world.books.GetSlabs().at(0).retiring);
  // Not the one that was asked to unmap it: its Retire may be on the way still.
  EXPECT_FALSE(silent.Acquire(kMiB));
  ASSERT_TRUE(world.books.Unmapped(silent.id(), slab).ok());
  silent.retiring.clear();
  world.Run();
  EXPECT_EQ(world.device_bytes, 64 * kMiB);
  auto again = silent.Acquire(kMiB);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->block.slab, slab);
  EXPECT_EQ(silent.slabs.count(slab), 1u) << "it is told of the slab once more";
}

TEST(Slabs, M3_DeathOfTheLastImporterFreesTheSlab) {
  World world(SmallSettings());
  Client& client = world.Open();
  client.unmaps = false;
  auto handle = client.Acquire(kMiB);
  client.Return(*handle);
  world.books.Trim(0);
  world.Run();
  EXPECT_EQ(world.device_bytes, 64 * kMiB);
  world.books.ProcessExited(client.id());
  world.Run();
  EXPECT_EQ(world.device_bytes, 64 * kMiB);  // a forked child may map it still
  world.books.SocketClosed(client.id());
  world.Run();
  EXPECT_EQ(world.device_bytes, 0u);
}

TEST(Slabs, M3_EmptySlabsGoAfterTrimAfter) {
  Settings settings = SmallSettings();
  settings.trim_after = Duration(60'000);
  World world(settings);
  Client& client = world.Open();
  auto handle = client.Acquire(kMiB);
  EXPECT_EQ(world.books.NextTick(), std::nullopt);
  client.Return(*handle);
  ASSERT_TRUE(world.books.NextTick());
  EXPECT_EQ(*world.books.NextTick() - world.clock.Now(), Duration(60'000));
  world.Advance(Duration(59'999));
  EXPECT_EQ(world.device_bytes, 64 * kMiB);
  world.Advance(Duration(1));
  EXPECT_EQ(world.device_bytes, 0u);
  EXPECT_EQ(world.Pool().pool_bytes, 0u);
  EXPECT_EQ(world.books.NextTick(), std::nullopt);
}

TEST(Slabs, M3_TrimWithATargetEvictsIdleLeases) {
  World world(SmallSettings());
  Client& client = world.Open();
  std::vector<Handle> handles;
  for (int i = 0; i < 24; ++i) handles.push_back(*client.Acquire(8 * kMiB));  // three slabs
  for (int i = 8; i < 24; ++i) client.Release(handles[i]);
  Books::Trimmed trimmed = world.books.Trim(64 * kMiB);
  EXPECT_EQ(trimmed.evicted.items, 8u);
  EXPECT_EQ(trimmed.evicted.detached_items, 0u);
  world.Run();
  EXPECT_EQ(world.device_bytes, 128 * kMiB);
  trimmed = world.books.Trim(kGiB);
  world.Run();
  EXPECT_EQ(world.device_bytes, 64 * kMiB);  // what is in use stays
  EXPECT_EQ(world.books.GetTotals().evictions[static_cast<size_t>(EvictReason::kTrim)], 16u);
}

TEST(Slabs, M3_TrimWaitsForDrainingBlocks) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto handle = client.Acquire(kMiB);
  client.Release(*handle, Fence(1, 1));
  const Books::Trimmed trimmed = world.books.Trim(kGiB);
  EXPECT_EQ(trimmed.retiring_bytes, 64 * kMiB);
  world.Run();
  EXPECT_EQ(world.device_bytes, 64 * kMiB);
  EXPECT_NE(client.Acquire(kMiB)->block.slab, handle->block.slab);
  client.FinishFence(1, 1);
  world.Advance(Duration(1000));
  EXPECT_EQ(world.device_bytes, 64 * kMiB);  // the new one
  EXPECT_EQ(world.books.GetTotals().slab_frees, 1u);
}

TEST(Slabs, M4_SlabsNeverServeTwoDomains) {
  World world(SmallSettings());
  Client& a = world.Open("a", "uid:1");
  Client& b = world.Open("b", "uid:2");
  Client& c = world.Open("c", "uid:1");
  auto of_a = a.Acquire(kMiB);
  auto of_b = b.Acquire(kMiB);
  auto of_c = c.Acquire(kMiB);
  EXPECT_NE(of_a->block.slab, of_b->block.slab);
  EXPECT_EQ(of_a->block.slab, of_c->block.slab);
  a.Return(*of_a);
  c.Return(*of_c);
  auto again = b.Acquire(60 * kMiB);
  EXPECT_EQ(again->block.slab, of_b->block.slab);
}

TEST(Slabs, M4_CrossingADomainGoesBackToTheDevice) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 64 * kMiB;
  World world(settings);
  Client& a = world.Open("a", "uid:1");
  Client& b = world.Open("b", "uid:2");
  auto handle = a.Acquire(4 * kMiB);
  a.Release(*handle);
  Client::Options options;
  options.timeout = Duration(1000);
  auto other = b.Acquire(4 * kMiB, options);
  ASSERT_TRUE(other);
  EXPECT_NE(other->block.slab, handle->block.slab);
  EXPECT_TRUE(a.slabs.empty());
  EXPECT_EQ(world.books.GetTotals().slab_frees, 1u);
  EXPECT_LE(world.peak_device_bytes, 64 * kMiB);
}

TEST(Slabs, PrefersSlabsThatTheSessionMaps) {
  World world(SmallSettings());
  Client& a = world.Open("a");
  Client& b = world.Open("b");
  auto first = a.Acquire(4 * kMiB);
  std::vector<Handle> fill;
  for (int i = 0; i < 14; ++i) fill.push_back(*b.Acquire(4 * kMiB));
  auto own = b.Acquire(5 * kMiB);  // a second slab, which a does not map
  ASSERT_NE(own->block.slab, first->block.slab);
  b.Return(fill[3]);
  EXPECT_EQ(a.Acquire(4 * kMiB)->block.slab, first->block.slab);
  EXPECT_EQ(a.slabs.size(), 1u);
}

TEST(Slabs, GrowthLeavesTheSpareStanding) {
  const auto retired = [](uint64_t spare_bytes) {
    Settings settings = SmallSettings();
    settings.spare_bytes = spare_bytes;
    World world(settings);
    Client& client = world.Open();
    for (const uint64_t size : {20 * kMiB, 24 * kMiB, 28 * kMiB, 32 * kMiB}) {
      auto lease = client.Acquire(size);
      EXPECT_TRUE(lease);
      client.Return(*lease);
    }
    return 4 - static_cast<int>(world.device_slabs.size());
  };
  EXPECT_EQ(retired(0), 3);
  EXPECT_EQ(retired(48 * kMiB), 2) << "72 MiB stood empty, 48 may";
  EXPECT_EQ(retired(kGiB), 0);
}

TEST(Slabs, M3_GoodbyeIsNoUnmapping) {
  World world(SmallSettings());
  Client& client = world.Open();
  client.unmaps = false;
  auto handle = client.Acquire(kMiB);
  client.Return(*handle);
  world.books.SaidGoodbye(client.id());
  world.books.Trim(0);
  world.Run();
  EXPECT_FALSE(client.ended);
  EXPECT_EQ(world.device_bytes, 64 * kMiB) << "it maps the slab until its process goes";
  world.books.SocketClosed(client.id());
  world.Run();
  EXPECT_EQ(client.ended, EndCause::kClose);
  EXPECT_EQ(world.device_bytes, 0u);
}

TEST(Slabs, L2_NobodyCountsOnASlabThatASilentProcessKeeps) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 128 * kMiB;
  World world(settings);
  Client& silent = world.Open("silent", "uid:1");
  Client& idle = world.Open("idle", "uid:2");
  Client& asker = world.Open("asker", "uid:3");
  silent.unmaps = false;
  auto left = silent.Acquire(4 * kMiB);
  silent.Return(*left);
  auto other = idle.Acquire(4 * kMiB);
  idle.Release(*other);
  Client::Options options;
  options.timeout = Duration(5000);
  const RequestId request = asker.Ask(4 * kMiB, options);
  for (int i = 0; i < 500 && !asker.Granted(request); ++i) world.Advance(Duration(4));
  ASSERT_TRUE(asker.Granted(request)) << "what lies idle elsewhere could serve it";
  EXPECT_EQ(asker.Refused(request), nullptr);
  EXPECT_EQ(silent.retiring.size(), 1u);
  EXPECT_LE(world.peak_device_bytes, 128 * kMiB);
}

TEST(Slabs, L2_WhatStaysOfASlabThatDoesNotDrainServes) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 64 * kMiB;
  World world(settings);
  Client& hung = world.Open("hung", "uid:1");
  Client& neighbour = world.Open("neighbour", "uid:1");
  Client& stranger = world.Open("stranger", "uid:2");
  auto undone = hung.Acquire(kMiB);
  hung.Release(*undone, Fence(1, 1));
  Client::Options options;
  options.timeout = Duration(2000);
  stranger.Ask(4 * kMiB, options);  // the slab is to go, and cannot
  world.Advance(Duration(2000));
  Client::Options soon;
  soon.timeout = Duration(1000);
  auto served = neighbour.Acquire(8 * kMiB, soon);
  ASSERT_TRUE(served);
  EXPECT_EQ(served->block.slab, undone->block.slab);
  EXPECT_EQ(world.Pool().draining, kMiB);
}

TEST(Slabs, L2_ARevivedSlabServesAmongManyThatDoNotAlign) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 192 * kMiB;
  World world(settings);
  Client& hung = world.Open("hung", "uid:1");
  Client& neighbour = world.Open("neighbour", "uid:1");
  Client& stranger = world.Open("stranger", "uid:2");
  // Two slabs with ten gaps of 4 MiB each, all at odd mebibytes.
  std::vector<Handle> held, gaps;
  for (int slab = 0; slab < 2; ++slab) {
    held.push_back(*neighbour.Acquire(kMiB));
    for (int i = 0; i < 10; ++i) {
      gaps.push_back(*neighbour.Acquire(4 * kMiB));
      held.push_back(*neighbour.Acquire((i == 9 ? 5 : 2) * kMiB));
    }
  }
  std::vector<Handle> undone;
  for (int i = 0; i < 10; ++i) undone.push_back(*hung.Acquire(6 * kMiB));
  ASSERT_EQ(world.device_slabs.size(), 3u) << "4 MiB of the third are free";
  for (Handle& gap : gaps) neighbour.Return(gap);
  for (Handle& handle : undone) hung.Release(handle, Fence(1, 1));
  Client::Options options;
  options.timeout = Duration(2000);
  stranger.Ask(60 * kMiB, options);  // the third slab is to go, and cannot
  world.Advance(Duration(2000));
  options.alignment = 2 * kMiB;
  const RequestId request = neighbour.Ask(4 * kMiB, options);
  ASSERT_TRUE(neighbour.Granted(request));
  EXPECT_EQ(neighbour.Granted(request)->block.slab, undone[0].block.slab);
}

}  // namespace
}  // namespace nvcv_cached::server
