// The cache's rules (C1 to C10), on the books alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "tests/core/world.h"

namespace nvcv_cached::server {
namespace {

Settings WithLimit(uint64_t limit) {
  Settings settings = SmallSettings();
  settings.limit_bytes = limit;
  return settings;
}

uint64_t Evictions(World& world, EvictReason reason) {
  return world.books.GetTotals().evictions[static_cast<size_t>(reason)];
}

TEST(Cache, C1_ItemsCountInUseAndIdle) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto handle = client.Acquire(1000);
  ASSERT_TRUE(handle);
  PoolReport pool = world.Pool();
  EXPECT_EQ(pool.cache_bytes, 1000u);
  EXPECT_EQ(pool.cache_items, 1u);
  EXPECT_EQ(pool.in_use, 1000u);
  EXPECT_EQ(pool.slack, 24u);
  ASSERT_TRUE(client.Release(*handle));
  pool = world.Pool();
  EXPECT_EQ(pool.cache_bytes, 1000u);
  EXPECT_EQ(pool.idle, 1000u);
  EXPECT_EQ(pool.in_use, 0u);
  client.Return(*handle);
  pool = world.Pool();
  EXPECT_EQ(pool.cache_bytes, 0u);
  EXPECT_EQ(pool.cache_items, 0u);
  EXPECT_EQ(pool.free, pool.pool_bytes);
}

TEST(Cache, C4_LargerThanLimitIsNotCachedAndWorks) {
  World world(WithLimit(10 * kMiB));
  Client& client = world.Open();
  auto handle = client.Acquire(20 * kMiB);
  ASSERT_TRUE(handle);
  EXPECT_TRUE(handle->word.revoked());
  EXPECT_EQ(world.Pool().cache_bytes, 0u);
  EXPECT_EQ(world.Pool().in_use, 20 * kMiB);
  EXPECT_EQ(world.books.GetTotals().uncached_grants, 1u);
  EXPECT_FALSE(client.Release(*handle));
  client.Return(*handle);
  EXPECT_EQ(world.Pool().in_use, 0u);
}

TEST(Cache, C4_LimitZeroCachesNothing) {
  World world(WithLimit(0));
  Client& client = world.Open();
  for (int i = 0; i < 10; ++i) {
    auto handle = client.Acquire(4096);
    ASSERT_TRUE(handle);
    EXPECT_EQ(world.Pool().cache_bytes, 0u);
    client.Drop(*handle);
  }
  EXPECT_EQ(world.Pool().in_use, 0u);
}

TEST(Cache, C4_LimitAboveCapacityIsTaken) {
  Settings settings = SmallSettings();
  settings.limit_bytes = UINT64_MAX;
  World world(settings);
  Client& client = world.Open();
  EXPECT_TRUE(client.Acquire(kMiB));
  EXPECT_EQ(world.Pool().limit_bytes, UINT64_MAX);
  world.books.SetSessionLimit(client.id(), UINT64_MAX);
  EXPECT_TRUE(client.Acquire(kMiB));
}

TEST(Cache, C5_LruTakesIdleOldestFirstAcrossSessions) {
  World world(WithLimit(4 * kMiB));
  Client& a = world.Open("a");
  Client& b = world.Open("b");
  std::vector<std::pair<Client*, Handle>> order;
  for (Client* client : {&a, &b, &b, &a}) order.push_back({client, *client->Acquire(kMiB)});
  // Released in an order of its own: 2, 0, 3, 1.
  for (const int i : {2, 0, 3, 1}) {
    world.Advance(Duration(10));
    ASSERT_TRUE(order[i].first->Release(order[i].second));
  }
  for (const int i : {2, 0, 3, 1}) {
    world.Advance(Duration(10));
    auto fresh = a.Acquire(kMiB);
    ASSERT_TRUE(fresh);
    EXPECT_EQ(world.Pool().cache_bytes, 4 * kMiB);
    EXPECT_FALSE(order[i].first->Reuse(order[i].second)) << i;
  }
  EXPECT_EQ(Evictions(world, EvictReason::kLimit), 4u);
}

TEST(Cache, C5_LruSeesReuseBehindTheDaemonsBack) {
  World world(WithLimit(2 * kMiB));
  Client& client = world.Open();
  auto first = client.Acquire(kMiB);
  auto second = client.Acquire(kMiB);
  client.Release(*first);
  world.Advance(Duration(5));
  client.Release(*second);
  world.Advance(Duration(5));
  ASSERT_TRUE(client.Reuse(*first));
  ASSERT_TRUE(client.Release(*first));
  ASSERT_TRUE(client.Acquire(kMiB));
  EXPECT_FALSE(client.Reuse(*second));
  EXPECT_TRUE(client.Reuse(*first));
}

TEST(Cache, C5_LruThenInUseLeavesTheBooksAndStaysValid) {
  World world(WithLimit(3 * kMiB));
  Client& client = world.Open();
  auto held = client.Acquire(kMiB);
  auto idle = client.Acquire(kMiB);
  client.Release(*idle);
  auto large = client.Acquire(3 * kMiB);  // the idle one goes, then the one in use
  ASSERT_TRUE(large);
  const PoolReport pool = world.Pool();
  EXPECT_EQ(pool.cache_bytes, 3 * kMiB);
  EXPECT_EQ(pool.in_use, 4 * kMiB);
  EXPECT_EQ(world.books.GetTotals().detached, 1u);
  EXPECT_EQ(Evictions(world, EvictReason::kLimit), 1u);
  EXPECT_FALSE(client.Release(*held));
  client.Return(*held);
  EXPECT_EQ(world.Pool().in_use, 3 * kMiB);
}

TEST(Cache, C5_ManyInUseBeforeOneIdle) {
  // More leases in use than one search looks at must not hide the idle one.
  World world(WithLimit(1001 * 4096));
  Client& client = world.Open();
  std::vector<Handle> held;
  for (int i = 0; i < 1001; ++i) held.push_back(*client.Acquire(4096));
  client.Release(held.back());
  ASSERT_TRUE(client.Acquire(4096));
  EXPECT_EQ(world.books.GetTotals().detached, 0u);
  EXPECT_EQ(Evictions(world, EvictReason::kLimit), 1u);
}

TEST(Cache, C5_ClearEmptiesTheCacheAtOnce) {
  Settings settings = WithLimit(4 * kMiB);
  settings.policy = Policy::kClear;
  World world(settings);
  Client& a = world.Open("a");
  Client& b = world.Open("b");
  ASSERT_TRUE(a.Acquire(kMiB));
  for (Client* client : {&a, &b, &b}) {
    auto handle = client->Acquire(kMiB);
    client->Release(*handle);
  }
  ASSERT_TRUE(b.Acquire(kMiB));
  const PoolReport pool = world.Pool();
  EXPECT_EQ(pool.cache_bytes, kMiB);
  EXPECT_EQ(pool.idle, 0u);
  EXPECT_EQ(Evictions(world, EvictReason::kLimit), 3u);
  EXPECT_EQ(world.books.GetTotals().detached, 1u);
}

TEST(Cache, C5_LoweringTheLimitDoesTheSame) {
  World world(WithLimit(8 * kMiB));
  Client& client = world.Open();
  std::vector<Handle> handles;
  for (int i = 0; i < 8; ++i) handles.push_back(*client.Acquire(kMiB));
  for (int i = 0; i < 5; ++i) {
    world.Advance(Duration(1));
    client.Release(handles[i]);
  }
  Evicted evicted = world.books.SetLimit(6 * kMiB);
  EXPECT_EQ(evicted.items, 2u);
  EXPECT_EQ(evicted.bytes, 2 * kMiB);
  EXPECT_EQ(evicted.detached_items, 0u);
  EXPECT_FALSE(client.Reuse(handles[0]));
  EXPECT_FALSE(client.Reuse(handles[1]));
  EXPECT_TRUE(client.Reuse(handles[2]));
  evicted = world.books.SetLimit(kMiB);
  EXPECT_EQ(evicted.items, 2u);
  EXPECT_EQ(evicted.detached_items, 3u);
  EXPECT_EQ(world.Pool().cache_bytes, kMiB);

  world.books.SetPolicy(Policy::kClear);
  evicted = world.books.SetLimit(kMiB - 1);
  EXPECT_EQ(world.Pool().cache_bytes, 0u);
  EXPECT_EQ(evicted.detached_items, 1u);
}

TEST(Cache, C6_ClearByScope) {
  World world(SmallSettings());
  Client& a = world.Open("a");
  Client& b = world.Open("b");
  const auto make = [](Client& client, uint32_t tag, bool idle) {
    Client::Options options;
    options.thread_tag = tag;
    auto handle = client.Acquire(1000, options);
    if (idle) client.Release(*handle);
    return *handle;
  };
  make(a, 0, true), make(a, 0, false), make(a, 1, true), make(b, 0, true);
  EXPECT_EQ(world.books.GetScope({a.id(), 0}).items, 2u);
  EXPECT_EQ(world.books.GetScope({a.id(), 1}).bytes, 1000u);
  Evicted evicted = world.books.Clear({a.id(), 0});
  EXPECT_EQ(evicted.items, 1u);
  EXPECT_EQ(evicted.detached_items, 1u);
  EXPECT_EQ(world.books.GetScope({a.id(), 0}).items, 0u);
  EXPECT_EQ(world.books.GetScope({a.id(), std::nullopt}).items, 1u);
  evicted = world.books.Clear({a.id(), std::nullopt});
  EXPECT_EQ(evicted.items, 1u);
  EXPECT_EQ(world.books.GetScope({b.id(), std::nullopt}).items, 1u);
  evicted = world.books.Clear({});
  EXPECT_EQ(evicted.items, 1u);
  EXPECT_EQ(world.Pool().cache_bytes, 0u);
  EXPECT_EQ(Evictions(world, EvictReason::kClear), 3u);
}

TEST(Cache, C6_AnAdoptedItemBelongsToItsNewThread) {
  World world(SmallSettings());
  Client& client = world.Open();
  auto handle = client.Acquire(1000);
  client.slot(*handle).thread_tag.store(7);
  client.Release(*handle);
  EXPECT_EQ(world.books.GetScope({client.id(), 0}).items, 0u);
  EXPECT_EQ(world.books.GetScope({client.id(), 7}).items, 1u);
  client.slot(*handle).thread_tag.store(UINT32_MAX);  // nonsense: the thread of the acquire
  EXPECT_EQ(world.books.GetScope({client.id(), 0}).items, 1u);
}

TEST(Cache, C6_CountersAddWhatGrewAndNeverFall) {
  World world(SmallSettings());
  Client& client = world.Open();
  Client::Options options;
  options.thread_tag = 2;
  ASSERT_TRUE(client.Acquire(1000, options));
  client.table().counters[2].hits_exact = 10;
  client.table().counters[0].hits_depot = 3;
  EXPECT_EQ(world.books.GetTotals().hits_exact, 10u);
  EXPECT_EQ(world.books.GetTotals().hits_depot, 3u);
  client.table().counters[2].hits_exact = 4;  // a lie
  EXPECT_EQ(world.books.GetTotals().hits_exact, 10u);
  client.table().counters[2].hits_exact = 5;
  EXPECT_EQ(world.books.GetTotals().hits_exact, 11u);
  EXPECT_EQ(world.books.GetScope({client.id(), 2}).hits_exact, 11u);
  client.table().counters[2].hits_exact = UINT64_MAX;
  const uint64_t high = world.books.GetTotals().hits_exact;
  client.table().counters[2].hits_exact = 0;
  for (int i = 0; i < 1 << 17; ++i) {
    client.table().counters[2].hits_exact = i % 2 != 0 ? UINT64_MAX : 0;
    if (i % 1024 < 2) {
      EXPECT_GE(world.books.GetTotals().hits_exact, high);
    }
  }
  const uint64_t before = world.books.GetTotals().hits_exact;
  client.Die();
  EXPECT_GE(world.books.GetTotals().hits_exact, before);
}

TEST(Cache, C6_EveryAcquireIsCountedOnce) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 64 * kMiB;
  World world(settings);
  Client& client = world.Open();
  auto grown = client.Acquire(4 * kMiB);
  auto pooled = client.Acquire(4 * kMiB);
  EXPECT_EQ(client.Acquire(100 * kMiB), std::nullopt);
  client.Release(*grown);
  client.Release(*pooled);
  auto reclaimed = client.Acquire(60 * kMiB);
  ASSERT_TRUE(reclaimed);
  const Totals totals = world.books.GetTotals();
  EXPECT_EQ(totals.misses_grow, 1u);
  EXPECT_EQ(totals.misses_pool, 1u);
  EXPECT_EQ(totals.misses_refused, 1u);
  EXPECT_EQ(totals.misses_reclaim, 1u);
  EXPECT_EQ(totals.slab_allocations, 1u);
  EXPECT_EQ(world.books.GetScope({client.id(), std::nullopt}).misses, 4u);
}

TEST(Cache, C8_QuotaBoundsOneSession) {
  Settings settings = SmallSettings();
  settings.quota_bytes = 8 * kMiB;
  World world(settings);
  Client& a = world.Open("a");
  Client& b = world.Open("b");
  auto idle = a.Acquire(4 * kMiB);
  ASSERT_TRUE(a.Acquire(4 * kMiB));
  a.Release(*idle);
  ASSERT_TRUE(a.Acquire(4 * kMiB));  // its own idle one goes
  EXPECT_EQ(Evictions(world, EvictReason::kQuota), 1u);
  const RequestId refused = a.Ask(4 * kMiB);
  ASSERT_NE(a.Refused(refused), nullptr);
  EXPECT_EQ(a.Refused(refused)->reason, RefusalReason::kQuota);
  EXPECT_EQ(a.Refused(refused)->status.message(),
            "asked 4.00 MiB on host; session 1 holds 8.00 MiB of its 8.00 MiB");
  EXPECT_TRUE(b.Acquire(8 * kMiB));
  ASSERT_TRUE(world.books.SetQuota(a.id(), std::nullopt).ok());
  EXPECT_TRUE(a.Acquire(4 * kMiB));
  EXPECT_EQ(b.Acquire(kMiB), std::nullopt);
  EXPECT_EQ(world.books.SetQuota(999, kMiB).code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(world.books.SetQuota(std::nullopt, 16 * kMiB).ok());
  EXPECT_TRUE(b.Acquire(kMiB));
}

TEST(Cache, C8_QuotaCountsWhatIsNotCached) {
  Settings settings = WithLimit(0);
  settings.quota_bytes = 8 * kMiB;
  World world(settings);
  Client& client = world.Open();
  ASSERT_TRUE(client.Acquire(6 * kMiB));
  EXPECT_EQ(client.Acquire(3 * kMiB), std::nullopt);
}

TEST(Cache, C9_ASessionsLimitBindsOnlyItself) {
  World world(SmallSettings());
  Client& a = world.Open("a");
  Client& b = world.Open("b", "uid:0", 2 * kMiB);
  for (Client* client : {&a, &b}) {
    for (int i = 0; i < 4; ++i) {
      auto handle = client->Acquire(kMiB);
      ASSERT_TRUE(handle);
      client->Release(*handle);
    }
  }
  EXPECT_EQ(world.books.GetScope({a.id(), std::nullopt}).bytes, 4 * kMiB);
  EXPECT_EQ(world.books.GetScope({b.id(), std::nullopt}).bytes, 2 * kMiB);
  const Evicted evicted = world.books.SetSessionLimit(a.id(), kMiB);
  EXPECT_EQ(evicted.items, 3u);
  EXPECT_EQ(world.books.GetScope({b.id(), std::nullopt}).bytes, 2 * kMiB);
  EXPECT_EQ(world.books.GetScope({a.id(), std::nullopt}).session_limit_bytes, kMiB);
}

TEST(Cache, C9_TheSmallerOfBothLimitsIsInForce) {
  World world(WithLimit(2 * kMiB));
  Client& client = world.Open();
  world.books.SetSessionLimit(client.id(), kGiB);
  EXPECT_EQ(world.books.GetScope({client.id(), std::nullopt}).session_limit_bytes, kGiB);
  auto large = client.Acquire(3 * kMiB);
  ASSERT_TRUE(large);
  EXPECT_TRUE(large->word.revoked());
  world.books.SetSessionLimit(client.id(), kMiB);
  auto medium = client.Acquire(2 * kMiB);
  ASSERT_TRUE(medium);
  EXPECT_TRUE(medium->word.revoked());
}

TEST(Cache, C10_NeverReusedGoesBeforeThePoolGrows) {
  World world(SmallSettings());
  Client& client = world.Open();
  std::vector<Handle> handles;
  for (int i = 0; i < 16; ++i) handles.push_back(*client.Acquire(4 * kMiB));
  EXPECT_EQ(world.Pool().pool_bytes, 64 * kMiB);
  for (Handle& handle : handles) {
    world.Advance(Duration(1));
    client.Release(handle);
  }
  ASSERT_TRUE(client.Reuse(handles[0]));  // the oldest is reused, the next oldest goes
  ASSERT_TRUE(client.Release(handles[0]));
  ASSERT_TRUE(client.Acquire(3 * kMiB));
  EXPECT_EQ(world.Pool().pool_bytes, 64 * kMiB);
  EXPECT_TRUE(client.Reuse(handles[0]));
  EXPECT_FALSE(client.Reuse(handles[1]));
  EXPECT_TRUE(client.Reuse(handles[2]));
  EXPECT_EQ(world.books.GetTotals().misses_reclaim, 1u);
  EXPECT_EQ(Evictions(world, EvictReason::kPressure), 1u);
}

TEST(Cache, C10_ReusedGoesOnlyAfterTheKeepTime) {
  for (const bool waited : {false, true}) {
    World world(SmallSettings());
    Client& client = world.Open();
    std::vector<Handle> handles;
    for (int i = 0; i < 16; ++i) handles.push_back(*client.Acquire(4 * kMiB));
    for (Handle& handle : handles) {
      client.Release(handle);
      client.Reuse(handle);
      client.Release(handle);
    }
    world.Advance(Duration(waited ? 100 : 99));
    ASSERT_TRUE(client.Acquire(4 * kMiB));
    EXPECT_EQ(Evictions(world, EvictReason::kPressure), waited ? 1u : 0u);
    EXPECT_EQ(world.Pool().pool_bytes > 64 * kMiB, !waited);
  }
}

TEST(Cache, C10_OtherSessionsGoBeforeOnesOwn) {
  World world(SmallSettings());
  Client& a = world.Open("a");
  Client& b = world.Open("b");
  std::vector<Handle> own, others;
  for (int i = 0; i < 8; ++i) own.push_back(*a.Acquire(4 * kMiB));
  for (int i = 0; i < 8; ++i) others.push_back(*b.Acquire(4 * kMiB));
  for (Handle& handle : own) a.Release(handle);
  world.Advance(Duration(50));
  for (Handle& handle : others) b.Release(handle);  // younger, and still first
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(a.Acquire(4 * kMiB));
  for (Handle& handle : others) EXPECT_FALSE(b.Reuse(handle));
  for (Handle& handle : own) EXPECT_TRUE(a.Reuse(handle));
}

TEST(Cache, C10_VictimsWhoseFenceIsDoneArePreferred) {
  World world(SmallSettings());
  Client& client = world.Open();
  std::vector<Handle> handles;
  for (int i = 0; i < 16; ++i) handles.push_back(*client.Acquire(4 * kMiB));
  for (int i = 0; i < 16; ++i) {
    world.Advance(Duration(1));
    client.Release(handles[i], lease_table::Fence(1, i == 5 ? 1 : 100));
  }
  client.FinishFence(1, 1);
  ASSERT_TRUE(client.Acquire(4 * kMiB));
  EXPECT_EQ(world.Pool().pool_bytes, 64 * kMiB);
  EXPECT_FALSE(client.Reuse(handles[5]));
  EXPECT_TRUE(client.Reuse(handles[0]));
}

TEST(Cache, C10_LittleMoreThanTheRequestIsThrownAway) {
  World world(SmallSettings());
  Client& client = world.Open();
  std::vector<Handle> handles;
  for (int i = 0; i < 64; ++i) handles.push_back(*client.Acquire(kMiB));
  // Every second one is idle: no run of them is as large as the request.
  for (size_t i = 0; i < handles.size(); i += 2) client.Release(handles[i]);
  ASSERT_TRUE(client.Acquire(4 * kMiB));
  EXPECT_EQ(Evictions(world, EvictReason::kPressure), 0u);
  EXPECT_GT(world.Pool().pool_bytes, 64 * kMiB);
  for (size_t i = 1; i < 8; i += 2) client.Release(handles[i]);
  ASSERT_TRUE(client.Acquire(60 * kMiB));
  EXPECT_EQ(Evictions(world, EvictReason::kPressure), 0u);
}

// What lies in pieces helps no large request, but its slabs do: they go back, the pool does not
// grow by it.
TEST(Cache, C10_GrowthGivesBackWhatIsCold) {
  for (const bool cold : {false, true}) {
    World world(SmallSettings());
    Client& a = world.Open("a");
    Client& b = world.Open("b");
    std::vector<Handle> handles;
    for (int i = 0; i < 3; ++i) handles.push_back(*a.Acquire(20 * kMiB));  // a slab each
    for (Handle& handle : handles) {
      a.Release(handle);
      ASSERT_TRUE(a.Reuse(handle));
      a.Release(handle);
    }
    ASSERT_TRUE(a.Reuse(handles[2]));
    world.Advance(Duration(cold ? 100 : 99));
    ASSERT_TRUE(b.Acquire(40 * kMiB));
    world.Run();
    EXPECT_EQ(world.Pool().pool_bytes, (cold ? 60 : 100) * kMiB);
    EXPECT_EQ(a.Reuse(handles[0]), !cold);
    EXPECT_TRUE(a.Release(handles[2])) << "what is in use stays";
  }
}

// Two processes that use several specs in turn: within two rounds each keeps its own.
TEST(Cache, C10_WhatWouldHaveBeenReusedIsKept) {
  World world(SmallSettings());
  Client* clients[] = {&world.Open("a"), &world.Open("b")};
  std::map<std::pair<int, uint64_t>, Handle> idle;
  for (int round = 0; round < 5; ++round) {
    int misses = 0;
    for (uint64_t spec = 1; spec <= 12; ++spec) {
      for (int i = 0; i < 2; ++i) {
        const uint64_t size = 4 * kMiB + spec * 4096;
        Handle& handle = idle[{i, spec}];
        if (handle.size == 0 || !clients[i]->Reuse(handle)) {
          ++misses;
          handle = *clients[i]->Acquire(size);
        }
        world.Advance(Duration(1));
        clients[i]->Release(handle);
      }
    }
    if (round >= 3) {
      EXPECT_EQ(misses, 0) << "round " << round;
    }
  }
}

TEST(Cache, GrantAheadComesFromWhatIsFree) {
  World world(WithLimit(16 * 4096));
  Client& client = world.Open();
  Client::Options options;
  options.ahead = 8;
  const RequestId request = client.Ask(4096, options);
  const SendGrant& grant = client.grants.at(request);
  ASSERT_EQ(grant.leases.size(), 9u);
  EXPECT_EQ(grant.leases[0].word.state(), lease_table::State::kHeld);
  for (size_t i = 1; i < 9; ++i) {
    Handle handle{grant.leases[i].slot, grant.leases[i].word, grant.leases[i].block, 4096};
    EXPECT_EQ(handle.word.state(), lease_table::State::kIdle);
    EXPECT_TRUE(client.Reuse(handle));
  }
  EXPECT_EQ(world.books.GetTotals().granted_ahead, 8u);
  EXPECT_EQ(world.Pool().cache_items, 9u);
  options.ahead = UINT32_MAX;  // up to the limit and no further; nobody gives way
  const RequestId more = client.Ask(4096, options);
  EXPECT_EQ(client.grants.at(more).leases.size(), 7u);
  EXPECT_EQ(world.Pool().cache_bytes, 16 * 4096u);
  const RequestId large = client.Ask(kMiB, options);
  EXPECT_EQ(client.grants.at(large).leases.size(), 1u);
}

TEST(Cache, GrantAheadNeitherGrowsNorEvicts) {
  World world(SmallSettings());
  Client& client = world.Open();
  Client::Options options;
  options.ahead = 32;
  const RequestId request = client.Ask(256 * kKiB, options);
  EXPECT_EQ(client.grants.at(request).leases.size(), 16u);  // one small slab's worth
  EXPECT_EQ(world.books.GetTotals().slab_allocations, 1u);
  Settings settings = SmallSettings();
  settings.quota_bytes = 10 * 4096;
  World bounded(settings);
  Client& other = bounded.Open();
  EXPECT_EQ(other.grants.at(other.Ask(4096, options)).leases.size(), 10u);
}

}  // namespace
}  // namespace nvcv_cached::server
