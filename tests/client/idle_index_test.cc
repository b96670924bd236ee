// The index of idle items: order, size classes, growth, sweep. Slots are plain memory here.
#include "client/src/idle_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace nvcv_cached::client {
namespace {

using lease_table::State;
using lease_table::Word;

class IdleIndexTest : public testing::Test {
 protected:
  // An idle item with a block of `bytes` at an address of exactly `alignment`.
  Item* Make(const Spec& spec, uint64_t bytes, uintptr_t address = 1 << 21) {
    items_.push_back(std::make_unique<Item>(nullptr, spec, Footprint{}));
    Item* const item = items_.back().get();
    item->slot = &slots_.emplace_back();
    item->word = Word::First(1).Next(State::kIdle);
    item->slot->word.store(item->word.bits());
    item->data = reinterpret_cast<void*>(address);
    item->block_bytes = bytes;
    item->size_class = static_cast<uint16_t>(IdleIndex::SizeClass(bytes));
    return item;
  }
  Item* MakeBuffer(uint64_t bytes) { return Make(Spec::OfBuffer(bytes, 0), bytes); }

  std::deque<lease_table::Slot> slots_;
  std::vector<std::unique_ptr<Item>> items_;
  IdleIndex index_;
};

TEST_F(IdleIndexTest, SizeClassesAreEightToAPowerOfTwo) {
  EXPECT_EQ(IdleIndex::SizeClass(0), 0);
  EXPECT_EQ(IdleIndex::SizeClass(512), 0);
  EXPECT_EQ(IdleIndex::SizeClass(512 + 64), 1);
  EXPECT_EQ(IdleIndex::SizeClass(1023), 7);
  EXPECT_EQ(IdleIndex::SizeClass(1024), 8);
  int last = 0;
  for (uint64_t bytes = 512; bytes < uint64_t{1} << 48; bytes += bytes / 16) {
    const int c = IdleIndex::SizeClass(bytes);
    EXPECT_GE(c, last);
    EXPECT_LE(c, last + 1);
    last = c;
  }
  EXPECT_LT(IdleIndex::SizeClass(UINT64_MAX), IdleIndex::kClasses);
}

TEST_F(IdleIndexTest, C2_TheLastReleasedComesFirst) {
  const Spec spec = Spec::OfTensor({2, 3}, DataType::kU8, "HW", 0);
  std::vector<Item*> pushed;
  for (int i = 0; i < 5; ++i) {
    pushed.push_back(Make(spec, 512));
    ASSERT_TRUE(index_.Push(pushed.back()));
  }
  EXPECT_EQ(index_.size(), 5u);
  for (int i = 4; i >= 0; --i) EXPECT_EQ(index_.PopExact(spec), pushed[i]);
  EXPECT_EQ(index_.PopExact(spec), nullptr);
  EXPECT_EQ(index_.size(), 0u);
}

TEST_F(IdleIndexTest, C2_EverythingThatMakesObjectsDifferentIsInTheSpec) {
  const std::vector<Spec> specs = {
      Spec::OfTensor({4, 6}, DataType::kU8, "", 0),
      Spec::OfTensor({6, 4}, DataType::kU8, "", 0),
      Spec::OfTensor({4, 6, 1}, DataType::kU8, "", 0),
      Spec::OfTensor({4, 6}, DataType::kS8, "", 0),
      Spec::OfTensor({4, 6}, DataType(DataKind::kUnsigned, 8, 2), "", 0),
      Spec::OfTensor({4, 6}, DataType::kU8, "HW", 0),
      Spec::OfTensor({4, 6}, DataType::kU8, "NW", 0),
      Spec::OfTensor({4, 6}, DataType::kU8, "", 1),
      Spec::OfTensor({4, 6}, DataType::kU8, "", 64),
      Spec::OfTensor({24}, DataType::kU8, "", 0),
      Spec::OfBuffer(24, 0),
      Spec::OfBuffer(24, 512),
      Spec::OfBuffer(24, 64),
      Spec::OfBuffer(25, 64),
  };
  std::vector<Item*> items;
  for (const Spec& spec : specs) {
    items.push_back(Make(spec, 512));
    ASSERT_TRUE(index_.Push(items.back()));
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(index_.PopExact(specs[i]), items[i]) << SpecText(specs[i]);
    EXPECT_EQ(index_.PopExact(specs[i]), nullptr) << SpecText(specs[i]);
  }
}

TEST_F(IdleIndexTest, TwoSpecsOfOneHashAreTwoSpecs) {
  Spec a = Spec::OfBuffer(1, 0), b = Spec::OfBuffer(2, 0);
  a.hash = b.hash = 77;
  Item* const first = Make(a, 512);
  Item* const second = Make(b, 512);
  Item* const third = Make(a, 512);
  for (Item* item : {first, second, third}) ASSERT_TRUE(index_.Push(item));
  EXPECT_EQ(index_.PopExact(b), second);
  EXPECT_EQ(index_.PopExact(b), nullptr);
  EXPECT_EQ(index_.PopExact(a), third);
  EXPECT_EQ(index_.PopExact(a), first);
}

TEST_F(IdleIndexTest, C3_AFitIsAtMostAQuarterTooLarge) {
  for (uint64_t need : {512u, 1024u, 5120u, 65536u, 1000448u}) {
    for (uint64_t block = 512; block <= 2 * need; block += 512) {
      Item* const item = MakeBuffer(block);
      ASSERT_TRUE(index_.Push(item));
      const bool fits = block >= need && block <= need + need / 4;
      EXPECT_EQ(index_.PopFit(need, 1), fits ? item : nullptr) << need << " in " << block;
      if (!fits) index_.Remove(item);
      if (need > 65536) block += 50 * 512;
    }
  }
  EXPECT_EQ(index_.size(), 0u);
}

TEST_F(IdleIndexTest, C3_AFitIsAlignedWellEnough) {
  Item* const loose = Make(Spec::OfBuffer(1, 0), 1024, 3 * 512);
  ASSERT_TRUE(index_.Push(loose));
  EXPECT_EQ(index_.PopFit(1024, 4096), nullptr);
  EXPECT_EQ(index_.PopFit(1024, 1024), nullptr);
  EXPECT_EQ(index_.PopFit(1024, 512), loose);
}

TEST_F(IdleIndexTest, SpecsThatNeverComeAgainDoNotMakeItGrow) {
  std::deque<Item*> idle;
  for (int64_t i = 0; i < 100000; ++i) {
    Item* const item = i < 64 ? MakeBuffer(1) : idle.front();
    if (i >= 64) {
      idle.pop_front();
      index_.Remove(item);
    }
    item->spec = Spec::OfBuffer(static_cast<uint64_t>(i), 0);
    ASSERT_TRUE(index_.Push(item));
    idle.push_back(item);
  }
  EXPECT_EQ(index_.size(), 64u);
  EXPECT_LE(index_.table_capacity(), 256u);
}

TEST_F(IdleIndexTest, SweepFindsAllThatTheDaemonTook) {
  constexpr int kItems = 500;
  for (int i = 0; i < kItems; ++i) {
    ASSERT_TRUE(index_.Push(MakeBuffer(512u << (i % 7))));
    if (i % 3 != 0) lease_table::Revoke(*items_.back()->slot);
  }
  const size_t alive = (kItems + 2) / 3;
  int rounds = 0;
  for (; index_.size() > alive && rounds < 20 * kItems; ++rounds) {
    int looks = 4;
    while (Item* stale = index_.SweepStale(&looks)) EXPECT_TRUE(stale->IsStale());
    EXPECT_EQ(looks, 0);
  }
  EXPECT_EQ(index_.size(), alive);
  EXPECT_LE(rounds, kItems);
}

TEST_F(IdleIndexTest, AgreesWithASimpleModel) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<Item*> out;
  std::map<uint64_t, std::list<Item*>> model;  // by buffer size, newest in front
  for (int i = 0; i < 400; ++i) out.push_back(MakeBuffer(512 * (1 + random() % 90)));
  const auto take = [&](Item* item) {
    auto& list = model[static_cast<uint64_t>(item->spec.extents[0])];
    const auto at = std::find(list.begin(), list.end(), item);
    ASSERT_NE(at, list.end());
    list.erase(at);
    out.push_back(item);
  };
  for (int step = 0; step < 200000; ++step) {
    const unsigned action = random() % 8;
    const uint64_t size = 512 * (1 + random() % 90);
    if (action < 4 && !out.empty()) {
      std::swap(out[random() % out.size()], out.back());
      Item* const item = out.back();
      out.pop_back();
      ASSERT_TRUE(index_.Push(item));
      model[static_cast<uint64_t>(item->spec.extents[0])].push_front(item);
    } else if (action < 6) {
      Item* const item = index_.PopExact(Spec::OfBuffer(size, 0));
      auto& list = model[size];
      ASSERT_EQ(item, list.empty() ? nullptr : list.front()) << "step " << step;
      if (item != nullptr) take(item);
    } else if (action == 6) {
      if (Item* const item = index_.PopFit(size, 512)) {
        ASSERT_GE(item->block_bytes, size);
        ASSERT_LE(item->block_bytes, size + size / 4);
        take(item);
      }
    } else if (Item* const item = index_.PopAny()) {
      take(item);
    }
    ASSERT_EQ(index_.size() + out.size(), 400u);
  }
}

}  // namespace
}  // namespace nvcv_cached::client
