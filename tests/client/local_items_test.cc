// Items without memory: counts, reuse, clears and threads of ExternalCacheItem.
#include "client/src/local_items.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "nvcv_cached/error.h"
#include "nvcv_cached/external_cache_item.h"

namespace nvcv_cached::client {
namespace {

class PlanKey final : public ExternalKey {
 public:
  explicit PlanKey(int number, std::size_t hash = 7) : number_(number), hash_(hash) {}
  std::size_t hash() const override { return hash_; }
  bool equals(const ExternalKey& other) const override {
    const auto* const key = dynamic_cast<const PlanKey*>(&other);
    return key != nullptr && key->number_ == number_;
  }

 private:
  int number_;
  std::size_t hash_;
};

struct Plan {
  explicit Plan(int* count) : living(count) { ++*living; }
  ~Plan() { --*living; }
  int* living;
};

class LocalItemsTest : public testing::Test {
 protected:
  ~LocalItemsTest() override { ClearLocalItems(Scope::kProcess); }

  ExternalCacheItem Get(int number) {
    return ExternalCacheItem(std::make_shared<PlanKey>(number), [&] {
      ++made_;
      return std::make_shared<Plan>(&living_);
    });
  }

  int made_ = 0;
  int living_ = 0;
};

TEST_F(LocalItemsTest, AnIdlePayloadServesAnEqualKey) {
  Plan* first;
  {
    const ExternalCacheItem item = Get(1);
    EXPECT_FALSE(item.was_reused());
    first = &item.payload<Plan>();
    Get(2);  // the same hash, another key
  }
  EXPECT_EQ(CountLocalItems(Scope::kThread), 2);
  const ExternalCacheItem again = Get(1);
  EXPECT_TRUE(again.was_reused());
  EXPECT_EQ(&again.payload<Plan>(), first);
  const ExternalCacheItem beside = Get(1);  // the first is in use
  EXPECT_NE(&beside.payload<Plan>(), first);
  EXPECT_EQ(made_, 3);
  EXPECT_EQ(CountLocalItems(Scope::kProcess), 3);
}

TEST_F(LocalItemsTest, AClearEndsIdleOnesAndLeavesThoseInUseValid) {
  Get(1);
  std::optional<ExternalCacheItem> held = Get(2);
  ClearLocalItems(Scope::kThread);
  EXPECT_EQ(CountLocalItems(Scope::kThread), 0);
  EXPECT_EQ(living_, 1);
  EXPECT_EQ(held->payload<Plan>().living, &living_);
  held.reset();  // never reused
  EXPECT_EQ(living_, 0);
  EXPECT_FALSE(Get(2).was_reused());
  EXPECT_EQ(CountLocalItems(Scope::kThread), 1);
}

TEST_F(LocalItemsTest, ThreadsHaveTheirOwn) {
  Get(1);
  std::optional<ExternalCacheItem> from_other;
  std::thread([&] {
    EXPECT_EQ(CountLocalItems(Scope::kThread), 0);
    EXPECT_FALSE(Get(1).was_reused());
    from_other = Get(2);
    EXPECT_EQ(CountLocalItems(Scope::kThread), 2);
    EXPECT_EQ(CountLocalItems(Scope::kProcess), 3);
    ClearLocalItems(Scope::kThread);
    EXPECT_EQ(CountLocalItems(Scope::kProcess), 1);
    Get(3);
  }).join();
  EXPECT_EQ(CountLocalItems(Scope::kProcess), 1);  // the thread has taken its own along
  from_other.reset();
  EXPECT_EQ(living_, 1);
}

TEST_F(LocalItemsTest, AnItemReleasedElsewhereGoesBackToItsMaker) {
  std::optional<ExternalCacheItem> item = Get(1);
  Plan* const plan = &item->payload<Plan>();
  std::thread([&] { item.reset(); }).join();
  EXPECT_EQ(&Get(1).payload<Plan>(), plan);
}

TEST_F(LocalItemsTest, AProcessWideClearReachesOtherThreads) {
  std::thread([&] {
    Get(1);
    std::thread([] { ClearLocalItems(Scope::kProcess); }).join();
    EXPECT_EQ(CountLocalItems(Scope::kThread), 0);
    EXPECT_FALSE(Get(1).was_reused());
  }).join();
}

TEST_F(LocalItemsTest, WhatCannotBeMadeIsNoItem) {
  const auto key = std::make_shared<PlanKey>(1);
  EXPECT_THROW(ExternalCacheItem(nullptr, [] { return std::make_shared<int>(1); }),
               InvalidArgument);
  EXPECT_THROW(ExternalCacheItem(key, nullptr), InvalidArgument);
  EXPECT_THROW(ExternalCacheItem(key, [] { return std::shared_ptr<void>(); }), InvalidArgument);
  EXPECT_THROW(ExternalCacheItem(key, []() -> std::shared_ptr<void> { throw std::string(); }),
               std::string);
  EXPECT_EQ(CountLocalItems(Scope::kProcess), 0);
}

}  // namespace
}  // namespace nvcv_cached::client
