// Rule C7 and the lock-free parts: many threads, releases across threads, threads that end. Run
// under TSan.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "client/src/depot.h"
#include "client/src/thread_cache.h"
#include "nvcv_cached/buffer.h"
#include "nvcv_cached/tensor.h"
#include "tests/client/fake_source.h"
#include "tests/client/test_process.h"

namespace nvcv_cached::client {
namespace {

void InThread(const auto& what) { std::thread(what).join(); }

// Writes its own mark, and reads it back later: two holders of one block would see each other's.
struct Marked {
  Buffer buffer;
  uint64_t mark;
  Marked(size_t bytes, uint64_t m) : buffer(bytes), mark(m) {
    std::memcpy(buffer.data(), &mark, sizeof(mark));
  }
  bool intact() const {
    uint64_t found;
    std::memcpy(&found, buffer.data(), sizeof(found));
    return found == mark;
  }
};

class ThreadsTest : public testing::Test {
 protected:
  void SetUp() override {
    // What earlier tests left in the depot is of a closed source.
    TestDevice().depot.Sweep(1 << 20);
    ASSERT_EQ(TestDevice().depot.size(), 0u);
  }
  FakeSource& daemon_ = FakeSource::Install();
};

TEST_F(ThreadsTest, C7_AThreadLeavesItsIdleItemsToTheDepot) {
  void* memory = nullptr;
  InThread([&] {
    Buffer buffer(4096);
    memory = buffer.data();
  });
  EXPECT_EQ(TestDevice().depot.size(), 1u);
  EXPECT_EQ(daemon_.Books().idle, 1);
  InThread([&] {
    Buffer buffer(4096);
    EXPECT_EQ(buffer.data(), memory);
    EXPECT_EQ(daemon_.hits().depot, 1u);
  });
  EXPECT_EQ(daemon_.acquires(), 1);
}

TEST_F(ThreadsTest, C3_TheDepotServesBySizeToo) {
  InThread([] { Buffer buffer(100 << 10); });
  InThread([&] {
    Tensor tensor({90, 1024}, DataType::kU8, "HW");
    EXPECT_EQ(daemon_.hits().depot, 1u);
  });
  EXPECT_EQ(daemon_.acquires(), 1);
}

TEST_F(ThreadsTest, C7_TheTagFollowsTheThreadThatAdopts) {
  InThread([&] {
    Buffer buffer(4096);
    const uint32_t tag = MyThreadTag().value();
    EXPECT_GE(tag, kFirstThreadTag);
    EXPECT_EQ(daemon_.Books(tag).items, 1);
  });
  EXPECT_EQ(daemon_.Books(kDepotTag).items, 1);
  Buffer mine(8192);
  InThread([&] {
    Buffer adopted(4096);
    EXPECT_EQ(daemon_.Books(MyThreadTag().value()).items, 1);
    EXPECT_EQ(daemon_.Books(kDepotTag).items, 0);
  });
  EXPECT_EQ(daemon_.Books(MyThreadTag().value()).items, 1);
}

TEST_F(ThreadsTest, C6_ANewThreadWithAnOldTagOwnsNothing) {
  std::optional<Buffer> orphan;
  uint32_t old_tag = 0;
  InThread([&] {
    orphan.emplace(4096);
    Buffer idle(8192);
    old_tag = MyThreadTag().value();
  });
  InThread([&] {
    EXPECT_FALSE(MyThreadTag().has_value());
    Buffer other(1 << 20);
    const uint32_t tag = MyThreadTag().value();
    EXPECT_NE(tag, old_tag) << "an orphan still carries it";
    EXPECT_EQ(daemon_.Books(tag).items, 1);
  });
  orphan.reset();
  EXPECT_EQ(daemon_.Books(old_tag).items, 0);
  EXPECT_EQ(daemon_.Books(kDepotTag).items, 3);
}

TEST_F(ThreadsTest, C7_AnOrphanGoesToTheDepotWhenItIsDropped) {
  std::optional<Buffer> orphan;
  InThread([&] { orphan.emplace(4096); });
  EXPECT_EQ(TestDevice().depot.size(), 0u);
  EXPECT_EQ(daemon_.Books().in_use, 1);
  void* const memory = orphan->data();
  orphan.reset();
  EXPECT_EQ(TestDevice().depot.size(), 1u);
  Buffer again(4096);
  EXPECT_EQ(again.data(), memory);
}

TEST_F(ThreadsTest, C7_AnObjectReleasedElsewhereGoesBackToItsMaker) {
  std::optional<Buffer> buffer(4096);
  void* const memory = buffer->data();
  InThread([&] { buffer.reset(); });
  EXPECT_EQ(TestDevice().depot.size(), 0u);
  EXPECT_EQ(daemon_.Books(MyThreadTag().value()).idle, 1);
  Buffer again(4096);
  EXPECT_EQ(again.data(), memory);
  EXPECT_EQ(daemon_.acquires(), 1);
  EXPECT_EQ(daemon_.hits().exact, 1u);
}

TEST_F(ThreadsTest, C7_TheLastReleasedElsewhereComesFirst) {
  std::vector<Buffer> all;
  for (int i = 0; i < 3; ++i) all.emplace_back(4096);
  void* const last = all[1].data();
  InThread([&] {
    all[0] = Buffer();
    all[2] = Buffer();
    all[1] = Buffer();
  });
  Buffer again(4096);
  EXPECT_EQ(again.data(), last);
}

TEST_F(ThreadsTest, RevokedWhileInUseAndReleasedElsewhere) {
  std::optional<Buffer> buffer(4096);
  daemon_.Clear();
  InThread([&] { buffer.reset(); });
  EXPECT_EQ(daemon_.returned(), 1);
  EXPECT_EQ(daemon_.Reap(), 1);
  Buffer fresh(4096);
  EXPECT_EQ(daemon_.acquires(), 2);
}

TEST_F(ThreadsTest, RevokedOrphanIsReturned) {
  std::optional<Buffer> orphan;
  InThread([&] { orphan.emplace(4096); });
  daemon_.Clear();
  orphan.reset();
  EXPECT_EQ(daemon_.returned(), 1);
  EXPECT_EQ(TestDevice().depot.size(), 0u);
}

TEST_F(ThreadsTest, CachesOfEndedThreadsServeNewOnes) {
  std::set<uint32_t> tags;
  for (int i = 0; i < 3000; ++i) {
    InThread([&] {
      Buffer buffer(4096);
      tags.insert(MyThreadTag().value());
    });
  }
  EXPECT_EQ(tags.size(), 1u);
  EXPECT_EQ(daemon_.acquires(), 1);
  EXPECT_EQ(daemon_.hits().depot, 2999u);
}

thread_local std::optional<Buffer> dropped_at_exit;

TEST_F(ThreadsTest, ThreadLocalObjectsAreDroppedBeforeTheCacheEnds) {
  InThread([] {
    { Buffer first(4096); }
    dropped_at_exit.emplace(8192);
  });
  EXPECT_EQ(daemon_.Books().in_use, 0);
  EXPECT_EQ(TestDevice().depot.size(), 2u);
}

TEST_F(ThreadsTest, ANewThreadForEachRequestWithObjectsThatOutliveIt) {
  std::deque<Marked> alive;
  std::mutex mutex;
  for (int i = 0; i < 1000; ++i) {
    InThread([&] {
      Marked kept(4096, static_cast<uint64_t>(i));
      Buffer scratch(65536);
      std::lock_guard lock(mutex);
      alive.push_back(std::move(kept));
    });
    EXPECT_TRUE(alive.back().intact());
    if (alive.size() > 8) alive.pop_front();
  }
  EXPECT_LE(daemon_.acquires(), 16);
  alive.clear();
  EXPECT_EQ(daemon_.Books().in_use, 0);
}

TEST_F(ThreadsTest, ProducerAndConsumer) {
  constexpr int kFrames = 20000;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Marked> queue;
  std::thread consumer([&] {
    for (int i = 0; i < kFrames; ++i) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return !queue.empty(); });
      Marked frame = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      changed.notify_all();
      ASSERT_TRUE(frame.intact());
    }
  });
  std::thread producer([&] {
    for (int i = 0; i < kFrames; ++i) {
      Marked frame(4096, static_cast<uint64_t>(i));
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return queue.size() < 8; });
      queue.push_back(std::move(frame));
      lock.unlock();
      changed.notify_all();
    }
  });
  producer.join();
  consumer.join();
  EXPECT_LE(daemon_.granted(), 64);
  EXPECT_EQ(daemon_.Books().in_use, 0);
}

// 64 threads make, hand over and drop at random, some end and are replaced, while the daemon
// revokes.
TEST_F(ThreadsTest, SixtyFourThreadsAndADaemonThatRevokes) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int kThreads = 64, kSteps = 300, kLives = 3, kExchange = 16;
  struct Place {
    std::mutex mutex;
    std::optional<Marked> item;
  };
  std::vector<Place> exchange(kExchange);
  std::atomic<uint64_t> marks{0};
  std::atomic<int> broken{0};
  std::atomic<bool> stop{false};
  const auto life = [&](unsigned my_seed) {
    std::mt19937 random(my_seed);
    std::deque<Marked> mine;
    for (int step = 0; step < kSteps; ++step) {
      if (random() % 2 == 0 || mine.empty()) {
        mine.emplace_back(4096u << random() % 4, marks.fetch_add(1));
      } else {
        if (!mine.front().intact()) broken.fetch_add(1);
        mine.pop_front();
      }
      if (random() % 4 == 0 && !mine.empty()) {
        Place& place = exchange[random() % kExchange];
        std::optional<Marked> theirs(std::move(mine.back()));
        mine.pop_back();
        {
          std::lock_guard lock(place.mutex);
          std::swap(theirs, place.item);
        }
        if (theirs && !theirs->intact()) broken.fetch_add(1);
        if (theirs && random() % 2 == 0) mine.push_back(std::move(*theirs));
      }
      if (mine.size() > 6) mine.pop_front();
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kLives; ++i) {
        std::thread(life, seed + static_cast<unsigned>(t * kLives + i)).join();
      }
    });
  }
  std::thread reclaim([&] {
    for (unsigned i = 0; !stop.load(); ++i) {
      if (i % 8 == 0) {
        daemon_.Clear();
      } else {
        daemon_.RevokeIdle();
      }
      std::this_thread::yield();
    }
  });
  for (std::thread& thread : threads) thread.join();
  stop.store(true);
  reclaim.join();
  for (Place& place : exchange) {
    if (place.item && !place.item->intact()) broken.fetch_add(1);
    place.item.reset();
  }
  EXPECT_EQ(broken.load(), 0);
  EXPECT_EQ(daemon_.Books().in_use, 0);
  daemon_.Clear();
  EXPECT_EQ(daemon_.leases(), 0);
}

TEST_F(ThreadsTest, MoreThreadsThanCounterLines) {
  constexpr int kThreads = 1100;
  std::barrier all_have_one(kThreads);
  std::atomic<int> shared{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int hit = 0; hit < 10; ++hit) Buffer(4096);
      all_have_one.arrive_and_wait();
      if (MyThreadTag() == kSharedTag) shared.fetch_add(1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(shared.load(), kThreads - 1022);
  const FakeSource::Hits hits = daemon_.hits();
  EXPECT_EQ(hits.exact + hits.depot + static_cast<uint64_t>(daemon_.acquires()), 10u * kThreads);
  { Buffer after(4096); }
}

}  // namespace
}  // namespace nvcv_cached::client
