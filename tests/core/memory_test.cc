// Who may have a block, and when (M1, M2), and the ends of sessions.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "tests/core/world.h"

namespace nvcv_cached::server {
namespace {

using lease_table::Fence;

void ExpectSumsUp(World& world) {
  const PoolReport pool = world.Pool();
  EXPECT_EQ(pool.in_use + pool.idle + pool.draining + pool.quarantined + pool.free + pool.slack,
            pool.pool_bytes);
  EXPECT_LE(pool.cache_bytes, pool.limit_bytes);
  EXPECT_LE(pool.cache_bytes, pool.in_use + pool.idle);
  uint64_t slabs = 0;
  for (const SlabReport& slab : world.books.GetSlabs()) {
    uint64_t offset = 0;
    for (const auto& extent : slab.extents) {
      EXPECT_EQ(extent.offset, offset);
      offset += extent.size;
    }
    EXPECT_EQ(offset, slab.size_bytes);
    slabs += slab.size_bytes;
  }
  EXPECT_EQ(slabs, pool.pool_bytes);
  world.books.CheckInvariants();
}

TEST(Memory, M1_BlockIsInOnePlace) {
  World world(SmallSettings());
  Client& client = world.Open();
  std::vector<Handle> handles;
  std::set<std::pair<SlabId, uint64_t>> starts;
  for (int i = 0; i < 200; ++i) {
    handles.push_back(*client.Acquire(700 + 7919 * static_cast<uint64_t>(i)));
    const Block& block = handles.back().block;
    EXPECT_TRUE(starts.insert({block.slab, block.offset}).second);
    EXPECT_EQ(block.offset % 512, 0u);
    EXPECT_EQ(block.size % 512, 0u);
    EXPECT_GE(block.size, handles.back().size);
    ExpectSumsUp(world);
  }
  for (const Handle& a : handles) {
    for (const Handle& b : handles) {
      if (&a == &b || a.block.slab != b.block.slab) continue;
      EXPECT_TRUE(a.block.offset + a.block.size <= b.block.offset ||
                  b.block.offset + b.block.size <= a.block.offset);
    }
  }
  for (size_t i = 0; i < handles.size(); i += 3) client.Release(handles[i], Fence(3, 5));
  for (size_t i = 1; i < handles.size(); i += 3)
    client.Return(handles[i], Client::Message::kSend, Fence(3, 6));
  ExpectSumsUp(world);
  EXPECT_GT(world.Pool().draining, 0u);
  world.books.Clear({});
  ExpectSumsUp(world);
  client.FinishFence(3, 6);
  world.Advance(Duration(1000));
  ExpectSumsUp(world);
  EXPECT_EQ(world.Pool().draining, 0u);
  for (size_t i = 2; i < handles.size(); i += 3) client.Return(handles[i]);
  EXPECT_EQ(world.Pool().free, world.Pool().pool_bytes);
}

TEST(Memory, M1_AlignmentUpToTwoMebibytes) {
  World world(SmallSettings());
  Client& client = world.Open();
  for (uint64_t alignment = 1; alignment <= 2 * kMiB; alignment *= 2) {
    Client::Options options;
    options.alignment = alignment;
    ASSERT_TRUE(client.Acquire(1000));
    for (const uint64_t size : {uint64_t{100}, 300 * kKiB, 9 * kMiB}) {
      auto handle = client.Acquire(size, options);
      ASSERT_TRUE(handle);
      EXPECT_EQ(handle->block.offset % alignment, 0u);
    }
    ExpectSumsUp(world);
  }
}

TEST(Memory, M1_LargerThanASlabHasASlabOfItsOwn) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto handle = client.Acquire(100 * kMiB + 1);
  ASSERT_TRUE(handle);
  EXPECT_EQ(client.slabs.at(handle->block.slab), 102 * kMiB);
}

TEST(Memory, M1_SmallBlocksHaveSlabsOfTheirOwn) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto small = client.Acquire(256 * kKiB);
  auto large = client.Acquire(256 * kKiB + 1);
  EXPECT_NE(small->block.slab, large->block.slab);
  EXPECT_EQ(client.slabs.at(small->block.slab), 4 * kMiB);
}

TEST(Memory, M2_BlockPassesOnlyWhenItsFenceIsDone) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = settings.slab_bytes = 4 * kMiB;
  World world(settings);
  Client& a = world.Open("a");
  Client& b = world.Open("b");
  auto handle = a.Acquire(4 * kMiB);
  ASSERT_TRUE(a.Release(*handle, Fence(1, 7)));
  EXPECT_EQ(b.Acquire(4 * kMiB), std::nullopt);  // revoked, and drains
  EXPECT_FALSE(a.Reuse(*handle));
  EXPECT_EQ(world.Pool().draining, 4 * kMiB);
  a.FinishFence(1, 6);
  world.Advance(Duration(1000));
  EXPECT_EQ(b.Acquire(4 * kMiB), std::nullopt);
  a.table().timelines[1].done_gpu.store(7);  // the GPU says so itself
  world.Advance(Duration(1000));
  EXPECT_TRUE(b.Acquire(4 * kMiB));
}

TEST(Memory, M2_FenceOutOfRangeIsNeverDone) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto handle = client.Acquire(kMiB);
  client.Release(*handle, Fence(lease_table::kTimelines, 1));
  world.books.Clear({});
  world.Advance(Duration(10'000));
  EXPECT_EQ(world.Pool().draining, kMiB);
  client.Die();
  EXPECT_EQ(world.Pool().draining, 0u);
}

TEST(Memory, M2_DeathNeedsBothProofs) {
  for (const bool exit_first : {true, false}) {
    World world(SmallSettings());
    Client& client = world.Open();
    auto held = client.Acquire(kMiB);
    auto idle = client.Acquire(kMiB);
    auto idle_undone = client.Acquire(kMiB);
    auto returned = client.Acquire(kMiB);
    client.Release(*idle);
    client.Release(*idle_undone, Fence(1, 1));
    client.Return(*returned, Client::Message::kForget);
    exit_first ? world.books.ProcessExited(client.id()) : world.books.SocketClosed(client.id());
    world.Run();
    PoolReport pool = world.Pool();
    EXPECT_EQ(pool.quarantined, kMiB) << "what it held";
    EXPECT_EQ(pool.draining, kMiB) << "idle without a done fence";
    EXPECT_EQ(pool.free, pool.pool_bytes - 2 * kMiB) << "idle or returned with a done fence";
    EXPECT_EQ(pool.cache_bytes, 0u);
    EXPECT_FALSE(client.ended);
    EXPECT_EQ(world.books.GetSessions().at(0).state, SessionState::kDead);
    EXPECT_FALSE(world.books.Acquire(client.id(), {}).ok());
    world.Advance(Duration(60'000));
    EXPECT_EQ(world.Pool().quarantined, kMiB);
    exit_first ? world.books.SocketClosed(client.id()) : world.books.ProcessExited(client.id());
    world.Run();
    pool = world.Pool();
    EXPECT_EQ(pool.free, pool.pool_bytes);
    EXPECT_EQ(client.ended, EndCause::kExit);
    EXPECT_TRUE(held);
  }
}

TEST(Memory, M2_AStrayReturnAfterTheSocketClosedStillCounts) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto held = client.Acquire(kMiB);
  world.books.SocketClosed(client.id());
  EXPECT_EQ(world.Pool().quarantined, kMiB);
  client.Return(*held, Client::Message::kForget);
  EXPECT_EQ(world.Pool().quarantined, 0u);
  EXPECT_FALSE(client.ended);
}

TEST(Memory, GoodbyeEndsWhenTheLeasesAreBack) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto held = client.Acquire(kMiB);
  auto idle = client.Acquire(kMiB);
  client.Release(*idle);
  world.books.SaidGoodbye(client.id());
  world.Run();
  EXPECT_FALSE(client.ended);
  EXPECT_EQ(world.Pool().in_use, kMiB);
  EXPECT_EQ(world.Pool().cache_bytes, 0u);
  EXPECT_FALSE(world.books.Acquire(client.id(), {}).ok());
  client.Return(*held, Client::Message::kForget);
  for (int i = 0; i < 10 && world.Pool().in_use > 0; ++i) {
    ASSERT_TRUE(world.books.NextTick());
    world.Advance(Duration(300));
  }
  world.Advance(Duration(300));
  EXPECT_GT(*world.books.NextTick() - world.clock.Now(), Duration(10'000)) << "it still polls";
  world.books.SocketClosed(client.id());
  world.Run();
  EXPECT_EQ(client.ended, EndCause::kClose);
  EXPECT_EQ(world.Pool().free, world.Pool().pool_bytes);
  EXPECT_EQ(world.books.GetTotals().sessions_ended[0], 1u);
}

TEST(Memory, GoodbyeOfASessionWithNothingEndsAtOnce) {
  World world(SmallSettings());
  Client& client = world.Open();
  world.books.SocketClosed(client.id());
  world.books.SaidGoodbye(client.id());
  world.Run();
  EXPECT_EQ(client.ended, EndCause::kClose);
}

TEST(Memory, BrokenProtocolQuarantinesWhatIsHeld) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto held = client.Acquire(kMiB);
  auto idle = client.Acquire(kMiB);
  client.Release(*idle);
  world.books.BrokeProtocol(client.id());
  EXPECT_EQ(world.Pool().quarantined, kMiB);
  EXPECT_FALSE(world.books.Acquire(client.id(), {}).ok());
  client.Die();
  EXPECT_EQ(client.ended, EndCause::kProtocol);
  EXPECT_EQ(world.Pool().free, world.Pool().pool_bytes);
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace nvcv_cached::server
