// What a client can send or write must not abort, block or bloat the daemon, nor bend its books
// (M5).
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/core/world.h"

namespace nvcv_cached::server {
namespace {

using lease_table::State;
using lease_table::Word;

AcquireRequest Valid() {
  AcquireRequest request;
  request.id = 1;
  request.size_bytes = 1000;
  return request;
}

TEST(Hostile, M5_MessagesThatBreakTheContract) {
  World world(SmallSettings());
  Client& client = world.Open();
  const auto refused = [&](AcquireRequest request) {
    return world.books.Acquire(client.id(), std::move(request)).code() ==
           absl::StatusCode::kInvalidArgument;
  };
  AcquireRequest request = Valid();
  request.size_bytes = 0;
  EXPECT_TRUE(refused(request));
  for (const uint64_t alignment :
       {uint64_t{0}, uint64_t{3}, 4 * kMiB, UINT64_MAX, uint64_t{1} << 63}) {
    request = Valid();
    request.alignment = alignment;
    EXPECT_TRUE(refused(request)) << alignment;
  }
  for (const uint32_t tag : {lease_table::kCounterLines, UINT32_MAX}) {
    request = Valid();
    request.thread_tag = tag;
    EXPECT_TRUE(refused(request)) << tag;
  }
  EXPECT_EQ(world.books.Acquire(999, Valid()).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(world.Pool().pool_bytes, 0u);
}

TEST(Hostile, M5_SizesBeyondAllMemory) {
  World world(SmallSettings());
  Client& client = world.Open();
  for (const uint64_t size : {kGiB + 1, uint64_t{1} << 62, (uint64_t{1} << 63) + 1, UINT64_MAX}) {
    const RequestId id = client.Ask(size);
    ASSERT_NE(client.Refused(id), nullptr) << size;
    EXPECT_EQ(client.Refused(id)->status.code(), absl::StatusCode::kResourceExhausted);
  }
  Settings settings = SmallSettings();
  settings.capacity_bytes = settings.limit_bytes = UINT64_MAX;
  World boundless(settings);
  boundless.device_fails = true;
  Client& other = boundless.Open();
  EXPECT_NE(other.Refused(other.Ask(UINT64_MAX)), nullptr);
  EXPECT_NE(other.Refused(other.Ask(uint64_t{1} << 62)), nullptr);
}

TEST(Hostile, M5_LongSpecsAndTimes) {
  World world(SmallSettings());
  Client& client = world.Open();
  AcquireRequest request = Valid();
  request.spec = std::string(1 << 20, '\xff');
  request.timeout = Duration::max();
  ASSERT_TRUE(world.books.Acquire(client.id(), request).ok());
  request.timeout = Duration::min();
  ASSERT_TRUE(world.books.Acquire(client.id(), request).ok());
  world.Run();
  const auto leases = world.books.GetLeases(client.id()).leases;
  ASSERT_EQ(leases.size(), 2u);
  const std::string spec(leases[0].spec.begin(), leases[0].spec.end());
  EXPECT_EQ(spec, std::string(lease_table::kSpecBytes, '\xff'))
      << "cut; made printable by who shows it";
}

TEST(Hostile, M5_ReturnsOfAnything) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto handle = client.Acquire(1000);
  const auto returned = [&](std::vector<uint32_t> slots) {
    return world.books.Returned(client.id(), slots);
  };
  // A hint without a RETURNED word changes nothing.
  EXPECT_TRUE(returned({handle->slot, handle->slot}).ok());
  EXPECT_EQ(world.Pool().in_use, 1000u);
  client.Return(*handle, Client::Message::kForget);
  EXPECT_TRUE(returned({handle->slot, handle->slot}).ok());
  EXPECT_TRUE(returned({handle->slot}).ok());  // late
  EXPECT_EQ(world.Pool().in_use, 0u);
  for (const uint32_t slot : {1u, lease_table::kSlots, UINT32_MAX}) {
    EXPECT_EQ(returned({slot}).code(), absl::StatusCode::kInvalidArgument) << slot;
  }
  EXPECT_EQ(returned(std::vector<uint32_t>(lease_table::kSlots + 1, 0)).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Hostile, M5_ALateHintDoesNotTakeANewLease) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto first = client.Acquire(1000);
  client.Return(*first);
  auto second = client.Acquire(1000);
  ASSERT_EQ(second->slot, first->slot);
  const uint32_t slots[] = {first->slot};
  EXPECT_TRUE(world.books.Returned(client.id(), slots).ok());
  EXPECT_EQ(world.Pool().in_use, 1000u);
  EXPECT_TRUE(client.Release(*second));
}

TEST(Hostile, M5_UnmapsOfAnything) {
  World world(SmallSettings());
  Client& client = world.Open();
  Client& other = world.Open();
  auto handle = client.Acquire(1000);
  for (const SlabId slab : {SlabId{0}, SlabId{2}, SlabId{UINT64_MAX}}) {
    EXPECT_EQ(world.books.Unmapped(client.id(), slab).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(world.books.Unmapped(client.id(), handle->block.slab).ok()) << "nobody asked for it";
  client.unmaps = false;
  client.Return(*handle);
  world.books.Trim(0);
  EXPECT_FALSE(world.books.Unmapped(other.id(), handle->block.slab).ok()) << "was never told of it";
  EXPECT_TRUE(world.books.Unmapped(client.id(), handle->block.slab).ok());
  EXPECT_FALSE(world.books.Unmapped(client.id(), handle->block.slab).ok()) << "twice";
  world.Run();
  EXPECT_EQ(world.device_bytes, 0u);
}

TEST(Hostile, M5_AFloodOfAcquiresIsBounded) {
  World world(SmallSettings());
  world.device_waits = true;
  Client& client = world.Open();
  size_t refused = 0;
  for (int i = 0; i < 5000; ++i) refused += client.Refused(client.Ask(kMiB)) != nullptr ? 1 : 0;
  EXPECT_EQ(refused, 5000u - 1024u);
  Client& other = world.Open();
  EXPECT_EQ(other.Refused(other.Ask(kMiB)), nullptr);
}

// Each is a word that no honest client could have written over the one given.
TEST(Hostile, M5_NonsenseInAWordEndsTheSessionAndNothingElse) {
  const Word held = Word::First(1).Next(State::kHeld);
  const uint64_t nonsense[] = {
      0,
      UINT64_MAX,
      held.Next(State::kEmpty).bits(),
      held.Next(State::kIdle, true).bits(),      // REVOKED is the daemon's to set
      Word::First(1).bits(),                     // a version of the past
      (held.bits() & ~uint64_t{3}) | 2,          // another state under the same version
      Word::First(0).Next(State::kIdle).bits(),  // an earlier epoch
  };
  for (const uint64_t bits : nonsense) {
    World world(SmallSettings());
    Client& liar = world.Open("liar");
    Client& honest = world.Open("honest");
    auto of_honest = honest.Acquire(kMiB);
    auto handle = liar.Acquire(kMiB);
    auto other = liar.Acquire(kMiB);
    liar.Release(*other);
    ASSERT_EQ(handle->word, held);
    liar.Scribble(handle->slot, bits);
    const uint32_t slots[] = {handle->slot};
    (void)world.books.Returned(liar.id(), slots);
    world.Run();
    ASSERT_TRUE(liar.killed) << std::hex << bits;
    EXPECT_FALSE(honest.killed);
    EXPECT_FALSE(world.books.Acquire(liar.id(), Valid()).ok());
    PoolReport pool = world.Pool();
    EXPECT_EQ(pool.quarantined, kMiB) << "the slot lied about";
    EXPECT_EQ(pool.cache_bytes, kMiB) << "what is the honest one's";
    world.books.CheckInvariants();
    EXPECT_TRUE(honest.Release(*of_honest));
    liar.Die();
    EXPECT_EQ(liar.ended, EndCause::kProtocol);
    EXPECT_EQ(world.Pool().quarantined, 0u);
  }
}

TEST(Hostile, M5_NonsenseIsFoundWhereverTheDaemonLooks) {
  enum class Way { kClear, kLimit, kReport, kPressure, kGoodbye, kDeath };
  for (const Way way :
       {Way::kClear, Way::kLimit, Way::kReport, Way::kPressure, Way::kGoodbye, Way::kDeath}) {
    Settings settings = SmallSettings();
    settings.capacity_bytes = 64 * kMiB;
    World world(settings);
    Client& liar = world.Open("liar");
    Client& honest = world.Open("honest");
    auto handle = liar.Acquire(40 * kMiB);
    liar.Scribble(handle->slot, 0);
    switch (way) {
      case Way::kClear:
        world.books.Clear({});
        break;
      case Way::kLimit:
        world.books.SetLimit(1);
        break;
      case Way::kReport:
        break;
      case Way::kPressure:
        EXPECT_FALSE(honest.Acquire(60 * kMiB));
        break;
      case Way::kGoodbye:
        world.books.SaidGoodbye(liar.id());
        break;
      case Way::kDeath:
        world.books.SocketClosed(liar.id());
        break;
    }
    EXPECT_EQ(world.Pool().cache_bytes, 0u);
    world.books.CheckInvariants();
    EXPECT_EQ(world.Pool().pool_bytes - world.Pool().free, 40 * kMiB);
    liar.Die();
    EXPECT_EQ(world.Pool().free, world.Pool().pool_bytes);
  }
}

TEST(Hostile, M5_AWriteIntoAFreeSlotIsFoundAtTheNextGrant) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto handle = client.Acquire(1000);
  client.Return(*handle);
  client.Scribble(handle->slot, 42);
  client.Ask(1000);
  EXPECT_TRUE(client.killed);
  world.books.CheckInvariants();
  EXPECT_EQ(world.Pool().free, world.Pool().pool_bytes);
  client.Die();
  EXPECT_EQ(client.ended, EndCause::kProtocol);
}

TEST(Hostile, M5_RandomWordsFencesAndTimes) {
  const uint64_t seed = 20261123;
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    Settings settings = SmallSettings();
    settings.capacity_bytes = 64 * kMiB;
    settings.limit_bytes = 32 * kMiB;
    World world(settings);
    Client& liar = world.Open("liar");
    Client& honest = world.Open("honest");
    std::vector<Handle> handles;
    for (int i = 0; i < 20; ++i) {
      if (auto handle = liar.Acquire(1 + random() % kMiB)) handles.push_back(*handle);
      auto& slot = liar.table().slots[random() % 24];
      switch (random() % 5) {
        case 0:
          slot.word.store(random());
          break;
        case 1:
          slot.word.fetch_xor(random() % 16);
          break;
        case 2:
          slot.fence.store(random());
          break;
        case 3:
          slot.last_used.store(static_cast<uint32_t>(random()));
          slot.thread_tag.store(static_cast<uint32_t>(random()));
          break;
        default:
          if (!handles.empty()) liar.Drop(handles[random() % handles.size()]);
          break;
      }
      auto handle = honest.Acquire(1 + random() % (8 * kMiB));
      if (handle) honest.Drop(*handle);
      world.Advance(Duration(random() % 50));
      if (random() % 8 == 0) world.books.Clear({liar.id(), static_cast<uint32_t>(random() % 2)});
      world.books.CheckInvariants();
      (void)world.books.GetSlabs();
      (void)world.books.GetLeases(liar.id());
    }
    EXPECT_FALSE(honest.killed);
    liar.Die();
    honest.Die();
    EXPECT_EQ(world.Pool().free, world.Pool().pool_bytes) << "seed " << seed << " round " << round;
  }
}

}  // namespace
}  // namespace nvcv_cached::server
