// Misses by spec: which shapes miss and why, in a table that no client can bloat; and the map,
// whose sums are those of the pool.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/core/world.h"

namespace nvcv_cached::server {
namespace {

std::map<std::string, MissReport> BySpec(const std::vector<MissReport>& rows) {
  std::map<std::string, MissReport> found;
  for (const MissReport& row : rows) found.emplace(row.spec, row);
  return found;
}

MissReport Sum(const std::vector<MissReport>& rows) {
  MissReport sum;
  for (const MissReport& row : rows) {
    sum.pool += row.pool;
    sum.reclaim += row.reclaim;
    sum.grow += row.grow;
    sum.refused += row.refused;
  }
  return sum;
}

void ExpectSumsOf(const Totals& totals, const std::vector<MissReport>& rows) {
  const MissReport sum = Sum(rows);
  EXPECT_EQ(sum.pool, totals.misses_pool);
  EXPECT_EQ(sum.reclaim, totals.misses_reclaim);
  EXPECT_EQ(sum.grow, totals.misses_grow);
  EXPECT_EQ(sum.refused, totals.misses_refused);
}

TEST(Misses, AreCountedBySpecAndByHowTheyWereServed) {
  Settings settings = SmallSettings();
  settings.capacity_bytes = 64 * kMiB;
  World world(settings);
  Client& a = world.Open("a");
  Handle first = *a.Acquire(6 * kMiB, {.spec = "Tensor first"});               // a new slab
  for (int i = 0; i < 9; ++i) a.Acquire(6 * kMiB, {.spec = "Tensor second"});  // room in it
  a.Ask(128 * kMiB, {.spec = "Tensor huge"});  // more than there may be
  ASSERT_TRUE(a.Release(first));
  a.Acquire(5 * kMiB, {.spec = "Tensor last"});  // what is idle gives way

  const auto rows = BySpec(world.books.GetMisses(0));
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows.at("Tensor first").grow, 1u);
  EXPECT_EQ(rows.at("Tensor first").size_bytes, 6 * kMiB);
  EXPECT_EQ(rows.at("Tensor second").pool, 9u);
  EXPECT_EQ(rows.at("Tensor huge").refused, 1u);
  EXPECT_EQ(rows.at("Tensor last").reclaim, 1u);
  ExpectSumsOf(world.books.GetTotals(), world.books.GetMisses(0));
}

TEST(Misses, OfASessionAreItsOwnAndStayInTheTotalsWhenItEnds) {
  World world(SmallSettings());
  Client &a = world.Open("a"), &b = world.Open("b");
  a.Acquire(kMiB, {.spec = "Tensor a"});
  b.Acquire(kMiB, {.spec = "Tensor b"});
  b.Acquire(kMiB, {.spec = "Tensor b"});
  ASSERT_EQ(world.books.GetMisses(a.id()).size(), 1u);
  EXPECT_EQ(world.books.GetMisses(a.id())[0].spec, "Tensor a");
  const SessionId ended = b.id();
  b.Die();
  EXPECT_TRUE(world.books.GetMisses(ended).empty());
  const std::vector<MissReport> all = world.books.GetMisses(0);
  EXPECT_EQ(all[0].spec, "Tensor b") << "most misses first";
  EXPECT_EQ(all[0].sum(), 2u);
}

TEST(Misses, AClientThatInventsSpecsBloatsNothingAndHidesNobody) {
  World world(SmallSettings());
  Client &honest = world.Open("honest"), &liar = world.Open("liar");
  for (int i = 0; i < 3; ++i) honest.Acquire(kMiB, {.spec = "Tensor honest"});
  for (int i = 0; i < 5000; ++i) {
    Handle handle =
        *liar.Acquire(4096, {.spec = "lie " + std::to_string(i) + std::string(4000, 'x')});
    liar.Return(handle);
    liar.ForgetAnswers();
  }
  const std::vector<MissReport> all = world.books.GetMisses(0);
  EXPECT_LE(all.size(), 257u);
  EXPECT_LE(world.books.GetMisses(liar.id()).size(), 65u);
  for (const MissReport& row : all) EXPECT_LE(row.spec.size(), 67u);
  EXPECT_EQ(all.front().spec, "Tensor honest");
  EXPECT_EQ(all.back().spec, "") << "the others come last";
  EXPECT_EQ(Sum(world.books.GetMisses(liar.id())).sum(), 5000u);
  ExpectSumsOf(world.books.GetTotals(), all);
}

TEST(Misses, SpecsArePrintableWhateverTheClientSays) {
  World world(SmallSettings());
  Client& a = world.Open("a");
  a.Acquire(4096, {.spec = "evil\x1b[2J\n\xff"});
  a.Acquire(4096);
  for (const MissReport& row : world.books.GetMisses(0)) {
    EXPECT_FALSE(row.spec.empty()) << "the empty one stands for those without room";
    for (const char c : row.spec) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << row.spec;
  }
}

TEST(Map, SumsOfLeasesExtentsAndSessionsAreThoseOfThePool) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  World world(SmallSettings());
  Client &a = world.Open("a"), &b = world.Open("b");
  for (int i = 0; i < 200; ++i) {
    Client& client = random() % 2 == 0 ? a : b;
    std::optional<Handle> handle = client.Acquire(1 + random() % (3 * kMiB), {.spec = "Tensor"});
    ASSERT_TRUE(handle);
    switch (random() % 4) {
      case 0:
        client.Drop(*handle);
        break;
      case 1:
        client.Return(*handle, Client::Message::kForget);
        break;
      case 2:  // its fence is not done: it drains
        client.Return(*handle, Client::Message::kSend, lease_table::Fence{1, 1000});
        break;
      default:
        break;
    }
  }
  const MapReport map = world.books.GetMap();
  std::map<BlockState, uint64_t> leases, extents;
  uint64_t slack = 0, in_use = 0, idle = 0, size = 0;
  for (const LeaseReport& lease : map.leases) {
    leases[lease.state] += lease.size_bytes;
    slack += lease.block.size - lease.size_bytes;
  }
  for (const SlabReport& slab : map.slabs) {
    size += slab.size_bytes;
    for (const SlabReport::Extent& extent : slab.extents) extents[extent.state] += extent.size;
  }
  for (const SessionReport& session : map.sessions) {
    in_use += session.in_use;
    idle += session.idle;
  }
  EXPECT_GT(map.pool.draining, 0u);
  EXPECT_EQ(leases[BlockState::kInUse], map.pool.in_use);
  EXPECT_EQ(leases[BlockState::kIdle], map.pool.idle);
  EXPECT_EQ(leases[BlockState::kDraining], map.pool.draining);
  EXPECT_EQ(slack, map.pool.slack);
  EXPECT_EQ(extents[BlockState::kFree], map.pool.free);
  EXPECT_EQ(size, map.pool.pool_bytes);
  EXPECT_EQ(in_use, map.pool.in_use);
  EXPECT_EQ(idle, map.pool.idle);
  EXPECT_EQ(map.totals.misses_pool, world.books.GetTotals().misses_pool);
}

}  // namespace
}  // namespace nvcv_cached::server
