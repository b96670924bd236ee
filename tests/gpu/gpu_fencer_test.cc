// Fences alone, without a daemon: the client's side of CUDA over a lease table of the test's own,
// on a GPU or on the fake driver. A gate (a stream that waits for a word) stands for a kernel that
// lasts as long as wanted.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "client/src/cuda/cuda_side.h"
#include "client/src/cuda/gpu.h"
#include "client/src/cuda/gpu_choice.h"
#include "client/src/cuda/thread_streams.h"
#include "client/src/item.h"
#include "proto/lease_table.h"

namespace nvcv_cached::client {
namespace {

using lease_table::Fence;
using lease_table::State;

class FencerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<SeenGpu> seen = CurrentGpu();
    if (!seen.ok()) GTEST_SKIP() << seen.status();
    void* memory = ::mmap(nullptr, lease_table::kTableBytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    table_ = static_cast<lease_table::Table*>(memory);
    auto side = CudaSide::Open(seen->uuid, false, *table_);
    ASSERT_TRUE(side.ok()) << side.status();
    side_ = std::move(*side);
    gpu_ = *Gpu::Open(seen->uuid);
    ContextScope scope(*gpu_);
    void* gate = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    gate_ = static_cast<std::atomic<uint32_t>*>(gate);
    Ok(cuda().MemHostRegister(gate, 4096, CU_MEMHOSTREGISTER_DEVICEMAP));
    Ok(cuda().MemHostGetDevicePointer(&gate_on_gpu_, gate, 0));
    Ok(cuda().MemAlloc(&memory_, kItems * kBytes));
  }
  void TearDown() override {
    if (side_ == nullptr) return;
    OpenGate();
    for (const auto& item : items_) DoneSoon(*item);
    side_->Stop(std::chrono::seconds(10));
    // As in a program, where a session outlives its threads: their lines go back to it when they
    // end.
    static auto* const kept = new std::vector<std::unique_ptr<CudaSide>>;
    kept->push_back(std::move(side_));
  }

  const CudaDriver& cuda() const { return gpu_->driver(); }
  void Ok(CUresult result) {
    ASSERT_TRUE(gpu_->Check(result, "a call of the test").ok()) << result;
  }

  CUstream NewStream() {
    ContextScope scope(*gpu_);
    CUstream stream = nullptr;
    Ok(cuda().StreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
  }
  static void Current(CUstream stream) {
    ThreadStreams::Mine().SetCurrent(std::make_shared<StreamState>(nullptr, stream, false));
  }
  void Hold(CUstream stream) {
    ContextScope scope(*gpu_);
    Ok(cuda().StreamWaitValue32(stream, gate_on_gpu_, 1, CU_STREAM_WAIT_VALUE_GEQ));
  }
  void Work(CUstream stream, const Item& item) {
    ContextScope scope(*gpu_);
    Ok(cuda().MemsetD8Async(reinterpret_cast<CUdeviceptr>(item.data), 1, kBytes, stream));
  }
  void OpenGate() { gate_->store(1); }

  // An object in use that was just granted.
  Item& Granted() {
    std::lock_guard lock(mutex_);
    items_.push_back(std::make_unique<Item>(nullptr, Spec::OfBuffer(kBytes, 0), Footprint{}));
    Item& item = *items_.back();
    lease_table::Slot& slot = table_->slots[items_.size()];
    item.Hold(Lease{.slot = &slot,
                    .slot_index = static_cast<uint32_t>(items_.size()),
                    .word = *lease_table::Grant(slot, lease_table::Word(slot.word.load())),
                    .data = reinterpret_cast<void*>(memory_ + (items_.size() - 1) * kBytes),
                    .block_bytes = kBytes,
                    .fencer = &side_->fencer()});
    return item;
  }
  static Fence FenceOf(const Item& item) { return Fence(item.slot->fence.load()); }
  bool IsDone(const Item& item) {
    return lease_table::IsDone(table_->timelines, lease_table::kTimelines, FenceOf(item));
  }
  bool DoneSoon(const Item& item) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!IsDone(item)) {
      if (FenceOf(item) == kNeverDone || std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  static constexpr size_t kItems = 512, kBytes = 4096;
  lease_table::Table* table_ = nullptr;
  std::unique_ptr<CudaSide> side_;
  const Gpu* gpu_ = nullptr;
  std::atomic<uint32_t>* gate_ = nullptr;
  CUdeviceptr gate_on_gpu_ = 0, memory_ = 0;
  std::mutex mutex_;
  std::deque<std::unique_ptr<Item>> items_;
};

TEST_F(FencerTest, WhatWasNotHandedOutKeepsTheFenceOfTheUseBefore) {
  Item& item = Granted();
  ASSERT_TRUE(item.TryRelease());
  EXPECT_EQ(FenceOf(item), lease_table::kDone);
  ASSERT_TRUE(item.TryReuse());
  const CUstream stream = NewStream();
  Current(stream);
  item.HandOut();
  Hold(stream);
  ASSERT_TRUE(item.TryRelease());
  const Fence fence = FenceOf(item);
  ASSERT_TRUE(item.TryReuse());
  item.handed_out = false;
  ASSERT_TRUE(item.TryRelease());
  EXPECT_EQ(FenceOf(item), fence);
  EXPECT_FALSE(IsDone(item));
  OpenGate();
  EXPECT_TRUE(DoneSoon(item));
}

TEST_F(FencerTest, SeveralStreamsMakeOneFence) {
  const CUstream one = NewStream(), two = NewStream();
  Item& item = Granted();
  Current(one);
  item.HandOut();
  item.HandOutOn(std::make_shared<StreamState>(nullptr, two, false));
  item.HandOutOn(nullptr);
  Work(one, item);
  Hold(two);
  Current(two);
  ASSERT_TRUE(item.TryRelease());
  EXPECT_EQ(item.first_use.load(), nullptr);
  EXPECT_EQ(item.further_uses.load(), nullptr);
  EXPECT_FALSE(IsDone(item));
  OpenGate();
  EXPECT_TRUE(DoneSoon(item));
}

TEST_F(FencerTest, AStreamHandedOutAfterOthersWaitsForThem) {
  const CUstream one = NewStream(), two = NewStream(), other = NewStream();
  const auto is_done = [&](CUstream stream) {
    ContextScope scope(*gpu_);
    CUevent event = nullptr;
    Ok(cuda().EventCreate(&event, CU_EVENT_DISABLE_TIMING));
    Ok(cuda().EventRecord(event, stream));
    return [this, event] {
      ContextScope inner(*gpu_);
      return cuda().EventQuery(event) == CUDA_SUCCESS;
    };
  };
  Item& item = Granted();
  Current(one);
  item.HandOut();
  Hold(one);
  item.HandOutOn(std::make_shared<StreamState>(nullptr, other, false));
  item.HandOutAfter(std::make_shared<StreamState>(nullptr, two, false));
  const auto other_done = is_done(other), two_done = is_done(two);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!other_done()) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  while (std::chrono::steady_clock::now() < soon) {
    ASSERT_FALSE(two_done()) << "it did not wait for the stream that was first";
  }
  OpenGate();
  while (!two_done()) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  ASSERT_TRUE(item.TryRelease());
  EXPECT_TRUE(DoneSoon(item));
}

TEST_F(FencerTest, WhatIsReleasedIntoACaptureIsNeverUsedAgain) {
  const CUstream stream = NewStream();
  Item& item = Granted();
  Current(stream);
  item.HandOut();
  Ok(cuda().StreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  EXPECT_FALSE(item.TryRelease());
  EXPECT_TRUE(item.unfenced);
  CUgraph graph = nullptr;
  Ok(cuda().StreamEndCapture(stream, &graph));
  EXPECT_EQ(item.word.state(), State::kHeld);
}

// A line that is done and named by nothing in use serves the next stream: timelines do not run out.
TEST_F(FencerTest, StreamsThatComeAndGoShareTimelines) {
  uint16_t highest = 0;
  for (int i = 0; i < 300; ++i) {
    const CUstream stream = NewStream();
    Item& item = Granted();
    Current(stream);
    item.HandOut();
    Work(stream, item);
    ASSERT_TRUE(item.TryRelease());
    ASSERT_TRUE(DoneSoon(item));
    highest = std::max(highest, FenceOf(item).timeline());
    Current(nullptr);
    ContextScope scope(*gpu_);
    Ok(cuda().StreamDestroy(stream));
  }
  EXPECT_LE(highest, 64);
}

TEST_F(FencerTest, ThreadsThatComeAndGoShareTimelines) {
  uint16_t highest = 0;
  for (int i = 0; i < 200; ++i) {
    Item& item = Granted();
    std::thread([&] {
      item.HandOut();
      Work(CU_STREAM_LEGACY, item);
      ASSERT_TRUE(item.TryRelease());
    }).join();
    ASSERT_TRUE(DoneSoon(item));
    highest = std::max(highest, FenceOf(item).timeline());
  }
  EXPECT_LE(highest, 16);
}

// Objects go from thread to thread: whoever has one releases it, takes it again and uses it on a
// stream of its own. The GPU does each one's work in order (under ThreadSanitizer the fake driver
// shows it).
TEST_F(FencerTest, ManyThreadsHandOnObjects) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mutex mutex;
  std::vector<Item*> shared;
  for (int i = 0; i < 64; ++i) shared.push_back(&Granted());
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < 6; ++n) {
    threads.emplace_back([&, n] {
      std::mt19937 random(seed + n);
      const CUstream streams[] = {NewStream(), CU_STREAM_LEGACY, NewStream()};
      for (int i = 0; i < 500; ++i) {
        Item* item = nullptr;
        {
          std::lock_guard lock(mutex);
          std::swap(shared[random() % shared.size()], shared.back());
          item = shared.back();
          shared.pop_back();
        }
        EXPECT_TRUE(item->TryRelease());
        EXPECT_TRUE(item->TryReuse());
        const CUstream stream = streams[random() % 3];
        Current(stream);
        item->HandOut();
        Work(stream, *item);
        if (random() % 4 == 0) item->HandOutOn(nullptr);
        std::lock_guard lock(mutex);
        shared.push_back(item);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Item* item : shared) {
    ASSERT_TRUE(item->TryRelease());
    EXPECT_TRUE(DoneSoon(*item));
  }
}

}  // namespace
}  // namespace nvcv_cached::client
