// The waiting line and what ends it (C8).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/core/world.h"

namespace nvcv_cached::server {
namespace {

using lease_table::Fence;

Settings OneSlab() {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 64 * kMiB;
  return settings;
}

Client::Options Within(int timeout_ms) {
  Client::Options options;
  options.timeout = Duration(timeout_ms);
  return options;
}

TEST(Waiting, C8_FirstComeFirstServedPerGroup) {
  World world(OneSlab());
  Client& client = world.Open();
  auto first = client.Acquire(32 * kMiB);
  auto second = client.Acquire(32 * kMiB);
  client.Return(*first, Client::Message::kSend, Fence(1, 1));
  client.Return(*second, Client::Message::kSend, Fence(1, 2));
  const RequestId large = client.Ask(40 * kMiB, Within(5000));
  const RequestId small = client.Ask(kMiB, Within(5000));
  client.FinishFence(1, 1);
  world.Advance(Duration(100));
  EXPECT_FALSE(client.Granted(large));
  EXPECT_FALSE(client.Granted(small)) << "it came later";
  client.FinishFence(1, 2);
  world.Advance(Duration(100));
  EXPECT_TRUE(client.Granted(large));
  EXPECT_TRUE(client.Granted(small));
}

TEST(Waiting, C8_SmallAndLargeQueueApartAndSoDoDomains) {
  Settings settings = OneSlab();
  settings.capacity_bytes = 64 * kMiB + 8 * kMiB;
  World world(settings);
  Client& client = world.Open();
  Client& other = world.Open("other", "uid:9");
  ASSERT_TRUE(client.Acquire(1000));
  ASSERT_TRUE(other.Acquire(1000));
  auto all = client.Acquire(64 * kMiB);
  client.Return(*all, Client::Message::kSend, Fence(1, 1));
  const RequestId large = client.Ask(64 * kMiB, Within(5000));
  EXPECT_FALSE(client.Granted(large));
  EXPECT_TRUE(client.Acquire(1000, Within(5000)));
  EXPECT_TRUE(other.Acquire(1000, Within(5000)));
}

TEST(Waiting, C8_DeadlineRefusesWithTheHolders) {
  World world(OneSlab());
  Client& resize = world.Open("resize");
  Client& detector = world.Open("dete\x1b[2Jctor");
  auto a = resize.Acquire(40 * kMiB);
  ASSERT_TRUE(detector.Acquire(20 * kMiB));
  resize.Return(*a, Client::Message::kSend, Fence(1, 1));
  ASSERT_TRUE(resize.Acquire(2 * kMiB));
  Client::Options options = Within(50);
  options.spec = "Tensor (4096,4096,3) f32";
  const RequestId request = resize.Ask(48 * kMiB, options);
  EXPECT_EQ(resize.Refused(request), nullptr);
  ASSERT_TRUE(world.books.NextTick());
  world.Advance(Duration(49));
  EXPECT_EQ(resize.Refused(request), nullptr);
  world.Advance(Duration(1));
  const SendRefusal* refusal = resize.Refused(request);
  ASSERT_NE(refusal, nullptr);
  EXPECT_EQ(refusal->reason, RefusalReason::kOutOfMemory);
  EXPECT_EQ(refusal->status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refusal->status.message(),
            "asked 48 MiB on host for Tensor (4096,4096,3) f32; found pool 64 MiB of 64 MiB, 0 B "
            "idle; in use: dete?[2Jctor pid 101 20 MiB, resize pid 100 2.00 MiB");
  EXPECT_EQ(refusal->hint, "free some there, or raise capacity");
}

TEST(Waiting, C8_MoreThanTheCapacityIsRefusedByIt) {
  World world(OneSlab());
  Client& client = world.Open();
  Client::Options options = Within(50);
  options.spec = "Buffer 1099511627776";
  const SendRefusal* refusal = client.Refused(client.Ask(uint64_t{1} << 40, options));
  ASSERT_NE(refusal, nullptr);
  EXPECT_EQ(refusal->reason, RefusalReason::kOutOfMemory);
  EXPECT_EQ(refusal->status.message(),
            "asked 1.00 TiB on host for Buffer 1099511627776; found a capacity of 64 MiB in all");
  EXPECT_EQ(refusal->hint, "ask for less, or raise capacity");
}

TEST(Waiting, C8_WithoutTimeNothingIsWaitedFor) {
  World world(OneSlab());
  Client& client = world.Open();
  auto handle = client.Acquire(64 * kMiB);
  client.Return(*handle, Client::Message::kSend, Fence(1, 1));
  EXPECT_NE(client.Refused(client.Ask(kMiB)), nullptr);
}

TEST(Waiting, C8_NothingOnItsWayIsRefusedAtOnce) {
  World world(OneSlab());
  Client& client = world.Open();
  ASSERT_TRUE(client.Acquire(64 * kMiB));
  EXPECT_NE(client.Refused(client.Ask(kMiB, Within(5000))), nullptr);
  EXPECT_EQ(world.books.NextTick(), std::nullopt);
}

TEST(Waiting, C8_IdleLeasesServeBeforeAnybodyWaits) {
  World world(OneSlab());
  Client& a = world.Open("a");
  Client& b = world.Open("b");
  std::vector<Handle> handles;
  for (int i = 0; i < 16; ++i) handles.push_back(*a.Acquire(4 * kMiB));
  for (Handle& handle : handles) {
    a.Release(handle);
    a.Reuse(handle);
    a.Release(handle);  // reused a moment ago: kept, if the pool could grow
  }
  ASSERT_TRUE(b.Acquire(9 * kMiB));
  EXPECT_EQ(world.books.GetTotals().evictions[static_cast<size_t>(EvictReason::kPressure)], 3u);
}

TEST(Waiting, C8_EmptySlabsOfOthersAreFreedFirst) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 128 * kMiB;
  World world(settings);
  Client& a = world.Open("a", "uid:1");
  Client& b = world.Open("b", "uid:2");
  auto idle = a.Acquire(60 * kMiB);
  auto empty = a.Acquire(8 * kMiB);
  auto in_use = a.Acquire(50 * kMiB);
  ASSERT_TRUE(in_use);
  a.Release(*idle);
  a.Return(*empty);
  a.Return(*in_use);
  auto handle = b.Acquire(30 * kMiB, Within(1000));
  ASSERT_TRUE(handle);
  EXPECT_TRUE(a.Reuse(*idle));
}

TEST(Waiting, C8_WhatCouldNotHelpIsNotTaken) {
  World world(OneSlab());
  Client& a = world.Open("a", "uid:1");
  Client& b = world.Open("b", "uid:2");
  ASSERT_TRUE(a.Acquire(4 * kMiB));  // pins its slab
  auto idle = a.Acquire(4 * kMiB);
  a.Release(*idle);
  EXPECT_NE(b.Refused(b.Ask(4 * kMiB, Within(100))), nullptr);
  EXPECT_TRUE(a.Reuse(*idle));
}

TEST(Waiting, ASlabUnderWayIsWaitedForEvenWithoutTime) {
  World world(SmallSettings());
  world.device_waits = true;
  Client& client = world.Open();
  const RequestId first = client.Ask(kMiB);
  const RequestId second = client.Ask(kMiB);
  EXPECT_FALSE(client.Granted(first));
  EXPECT_EQ(world.device_jobs.size(), 1u);
  world.DeviceWorks();
  EXPECT_TRUE(client.Granted(first));
  EXPECT_TRUE(client.Granted(second));
}

TEST(Waiting, GrowthCountsAgainstTheCapacityAtOnce) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 100 * kMiB;
  World world(settings);
  world.device_waits = true;
  Client& a = world.Open("a", "uid:1");
  Client& b = world.Open("b", "uid:2");
  const RequestId first = a.Ask(kMiB);
  const RequestId second = b.Ask(40 * kMiB);
  EXPECT_NE(b.Refused(second), nullptr);
  const RequestId third = b.Ask(4 * kMiB);  // fits into what is left of the capacity
  world.DeviceWorks();
  EXPECT_TRUE(a.Granted(first));
  EXPECT_TRUE(b.Granted(third));
  EXPECT_LE(world.peak_device_bytes, 100 * kMiB);
}

TEST(Waiting, ADeviceThatFailsIsAnError) {
  World world(SmallSettings());
  world.device_fails = true;
  Client& client = world.Open();
  const RequestId request = client.Ask(kMiB, Within(100));
  const SendRefusal* refusal = client.Refused(request);
  ASSERT_NE(refusal, nullptr);
  EXPECT_NE(refusal->status.message().find("no memory left on the device"), std::string::npos);
  EXPECT_EQ(world.Pool().pool_bytes, 0u);
  world.device_fails = false;
  world.Advance(Duration(100));
  EXPECT_TRUE(client.Acquire(kMiB));
}

// The owner is stopped: it neither reuses nor unmaps.
TEST(Waiting, L2_WhatDrainsServesWhereItIs) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = settings.slab_bytes = 8 * kMiB;
  World world(settings);
  Client& owner = world.Open("owner");
  owner.unmaps = false;
  auto lease = owner.Acquire(8 * kMiB);
  ASSERT_TRUE(lease && owner.Release(*lease, Fence(1, 1)));
  Client& client = world.Open();
  const RequestId early = client.Ask(8 * kMiB, Within(100));
  world.Advance(Duration(100));
  ASSERT_NE(client.Refused(early), nullptr) << "its fence was not done";
  owner.FinishFence(1, 1);
  const RequestId request = client.Ask(8 * kMiB, Within(100));
  world.Advance(Duration(50));
  EXPECT_TRUE(client.Granted(request));
}

// The device is full from outside, far below the capacity.
TEST(Waiting, C8_AFullDeviceGetsBackWhatOthersLeaveIdle) {
  World world(SmallSettings());
  Client& other = world.Open("other", "uid:1");
  auto idle = other.Acquire(60 * kMiB);
  ASSERT_TRUE(idle && other.Release(*idle));
  world.device_room = world.device_bytes;
  Client& client = world.Open("client", "uid:2");
  auto lease = client.Granted(client.Ask(8 * kMiB, Within(1000)));
  ASSERT_TRUE(lease) << "another domain's idle slab went back for it";
  EXPECT_FALSE(other.Reuse(*idle));
  EXPECT_LE(world.peak_device_bytes, world.device_room);
}

TEST(Waiting, C8_AnAlmostFullDeviceGivesASmallerSlab) {
  World world(SmallSettings());
  world.device_room = 10 * kMiB;
  Client& client = world.Open();
  EXPECT_TRUE(client.Granted(client.Ask(300 * kKiB, Within(1000))));
  EXPECT_LE(world.device_bytes, 10 * kMiB);
}

TEST(Waiting, C8_AFullDeviceTakesNothingThatIsInUse) {
  World world(SmallSettings());
  Client& other = world.Open("holder", "uid:1");
  auto held = other.Acquire(60 * kMiB);
  ASSERT_TRUE(held);
  world.device_room = world.device_bytes;
  Client& client = world.Open("client", "uid:2");
  const SendRefusal* refusal = client.Refused(client.Ask(8 * kMiB, Within(1000)));
  ASSERT_NE(refusal, nullptr);
  EXPECT_NE(refusal->status.message().find("holder pid"), std::string::npos)
      << refusal->status.message();
  EXPECT_NE(refusal->status.message().find("no memory left on the device"), std::string::npos);
  EXPECT_TRUE(other.Release(*held));
}

TEST(Waiting, ReturnedWithoutAMessageServesThoseWhoWait) {
  World world(OneSlab());
  Client& client = world.Open();
  auto draining = client.Acquire(kMiB);
  auto large = client.Acquire(63 * kMiB);
  client.Return(*draining, Client::Message::kSend, Fence(1, 1));  // something to wait for
  const RequestId request = client.Ask(63 * kMiB, Within(1000));
  client.Return(*large, Client::Message::kForget);
  for (int i = 0; i < 100 && !client.Granted(request); ++i) {
    ASSERT_TRUE(world.books.NextTick());
    world.clock.Advance(std::chrono::ceil<Duration>(*world.books.NextTick() - world.clock.Now()));
    world.books.Tick();
    world.Run();
  }
  EXPECT_TRUE(client.Granted(request));
}

TEST(Waiting, HalfDeadProcessIsWaitedFor) {
  World world(OneSlab());
  Client& dying = world.Open("dying");
  Client& client = world.Open();
  ASSERT_TRUE(dying.Acquire(64 * kMiB));
  world.books.SocketClosed(dying.id());
  const RequestId request = client.Ask(kMiB, Within(1000));
  EXPECT_FALSE(client.Granted(request));
  world.books.ProcessExited(dying.id());
  world.Run();
  EXPECT_TRUE(client.Granted(request));
}

TEST(Waiting, TheDeadDoNotWait) {
  World world(OneSlab());
  Client& client = world.Open("client");
  Client& dead = world.Open("dead");
  auto handle = client.Acquire(64 * kMiB);
  client.Return(*handle, Client::Message::kSend, Fence(1, 1));
  const RequestId of_dead = dead.Ask(64 * kMiB, Within(5000));
  const RequestId request = client.Ask(64 * kMiB, Within(5000));
  dead.Die();
  client.FinishFence(1, 1);
  world.Advance(Duration(100));
  EXPECT_TRUE(client.Granted(request));
  EXPECT_FALSE(dead.Granted(of_dead));
}

TEST(Waiting, RaisedCapacityServesThoseWhoWait) {
  World world(OneSlab());
  Client& client = world.Open();
  auto handle = client.Acquire(64 * kMiB);
  client.Return(*handle, Client::Message::kSend, Fence(1, 1));
  const RequestId request = client.Ask(64 * kMiB, Within(5000));
  world.books.SetCapacity(kGiB);
  world.Run();
  EXPECT_TRUE(client.Granted(request));
}

TEST(Waiting, ForeignSlabsTakeFromWhatTheDeviceHasNotFromTheCapacity) {
  Settings settings = OneSlab();  // of 64 MiB
  settings.device_bytes = 96 * kMiB;
  World world(settings);
  Client& client = world.Open();
  world.books.SetForeign(32 * kMiB);
  EXPECT_EQ(world.Pool().foreign_bytes, 32 * kMiB);
  auto all = client.Acquire(64 * kMiB);
  ASSERT_TRUE(all) << "capacity and foreign slabs fit beside each other";
  client.Return(*all);
  world.books.Trim(0);
  world.Run();
  world.books.SetForeign(64 * kMiB);
  const RequestId request = client.Ask(64 * kMiB);
  world.Run();
  ASSERT_NE(client.Refused(request), nullptr);
  EXPECT_NE(client.Refused(request)->status.message().find(
                ", 64 MiB beside it of an earlier daemon's clients"),
            std::string::npos)
      << client.Refused(request)->status;
  EXPECT_TRUE(client.Acquire(32 * kMiB)) << "what is left serves";
  world.books.SetForeign(0);
  EXPECT_TRUE(client.Acquire(32 * kMiB));
}

TEST(Waiting, NothingToDoMeansNoTick) {
  World world(SmallSettings());
  Client& client = world.Open();
  EXPECT_EQ(world.books.NextTick(), std::nullopt);
  auto held = client.Acquire(kMiB);
  auto idle = client.Acquire(kMiB);
  client.Release(*idle);
  EXPECT_EQ(world.books.NextTick(), std::nullopt);
  EXPECT_TRUE(held);
}

TEST(Waiting, FullTableTakesOwnIdleLeasesThenRefuses) {
  Settings settings = SmallSettings();
  World world(settings);
  Client& client = world.Open();
  std::vector<Handle> handles;
  Client::Options ahead;
  ahead.ahead = 32;
  while (handles.size() < lease_table::kSlots) {
    const RequestId request = client.Ask(512, ahead);
    for (const GrantedLease& lease : client.grants.at(request).leases) {
      Handle handle{lease.slot, lease.word, lease.block, 512};
      if (lease.word.state() == lease_table::State::kIdle) {
        ASSERT_TRUE(client.Reuse(handle));
      }
      handles.push_back(handle);
    }
  }
  const RequestId refused = client.Ask(512);
  ASSERT_NE(client.Refused(refused), nullptr);
  EXPECT_EQ(client.Refused(refused)->reason, RefusalReason::kTableFull);
  client.Release(handles[77]);
  EXPECT_TRUE(client.Acquire(512));
  client.Return(handles[78], Client::Message::kForget);
  EXPECT_TRUE(client.Acquire(512));
  Client& other = world.Open("other");
  EXPECT_TRUE(other.Acquire(512));
}

}  // namespace
}  // namespace nvcv_cached::server
