// NVCV's contract of the object cache, point by point: one test for each, named after it. Worker
// processes do what a program would, on the threads that are named; the daemon runs in this
// process, on a clock that goes by the test's steps.
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "tests/contract/daemon_clock.h"
#include "tests/contract/process.h"
#include "tests/contract/step_clock.h"
#include "tests/rpc/local_daemon.h"

namespace nvcv_cached::contract {
namespace {

using testing::Test;

// Of protocol.h's table.
enum Spec {
  kTensor,
  kImage,
  kLargerTensor,
  kLargerImage,
  kLargestImage,
  kImageBatch,
  kTensorBatch,
  kBuffer,
  kStream,
  kPayload,
  kOtherPayload,
  kWrapper,
};
constexpr int64_t kLimit = 64 * 1024 * kKiB;
constexpr uint64_t kSize = 272 * kKiB;  // of kTensor and kImage

class ContractPoints : public Test {
 protected:
  ContractPoints()
      : clock_fd_(StepClock::MakeShared()), steps_(clock_fd_.get()), daemon_(Options(steps_)) {}

  static server::testing::DaemonOptions Options(const StepClock& steps) {
    server::testing::DaemonOptions options;
    options.settings.limit_bytes = kLimit;
    options.settings.trim_after = std::chrono::hours(24 * 365);
    options.clock = std::make_shared<DaemonClock>(steps);
    return options;
  }

  std::unique_ptr<Process> Begin(int threads = 1) {
    auto process = std::make_unique<Process>(daemon_.socket_path(), clock_fd_);
    for (int i = 0; i < threads; ++i) process->Start(i);
    return process;
  }
  Reply Do(Process& process, const Command& command, int thread = 0) {
    steps_.Step();
    return process.Do(thread, command);
  }
  Reply Make(Process& process, Spec spec, int at, int thread = 0, int row_align = 0) {
    return Do(process,
              {.op = Op::kMake,
               .spec = static_cast<uint8_t>(spec),
               .at = static_cast<uint8_t>(at),
               .value = row_align},
              thread);
  }
  Reply Drop(Process& process, int at, int thread = 0) {
    return Do(process, {.op = Op::kDrop, .at = static_cast<uint8_t>(at)}, thread);
  }
  Reply SetLimit(Process& process, int64_t limit, int thread = 0) {
    return Do(process, {.op = Op::kLimit, .value = limit}, thread);
  }
  Reply Read(Process& process, int thread = 0) { return Do(process, {.op = Op::kRead}, thread); }
  void SetPolicy(server::Policy policy) {
    daemon_.broker().With([&](server::Books& books) { books.SetPolicy(policy); });
  }

  UniqueFd clock_fd_;
  StepClock steps_;
  server::testing::LocalDaemon daemon_;
};

TEST_F(ContractPoints, SixClassesAreCached) {
  const auto process = Begin();
  for (const Spec spec : {kTensor, kLargestImage, kImageBatch, kStream, kPayload}) {
    const Reply before = Read(*process);
    Make(*process, spec, 0);
    const Reply idle = Drop(*process, 0);
    EXPECT_EQ(idle.process.items, before.process.items + 1) << spec;
    Make(*process, spec, 0);
    EXPECT_EQ(Drop(*process, 0).process, idle.process) << spec << " was not reused";
  }
  const Reply batch = Make(*process, kTensorBatch, 0);
  EXPECT_EQ(batch.bytes, 2250u * 256) << "TensorBatch";
}

TEST_F(ContractPoints, WrappedObjectsCount0Bytes) {
  const auto process = Begin();
  const Reply wrapper = Make(*process, kWrapper, 0);
  EXPECT_EQ(wrapper.bytes, 0u);
  EXPECT_EQ(wrapper.process, (Counts{1, 0}));
  Make(*process, kTensor, 1);
  const Reply reshape = Do(*process, {.op = Op::kReshape, .at = 2, .other = 1});
  EXPECT_EQ(reshape.bytes, 0u);
  EXPECT_EQ(reshape.process, (Counts{3, kSize}));
  Drop(*process, 0);
  EXPECT_EQ(Drop(*process, 2).process, (Counts{1, kSize}));
}

TEST_F(ContractPoints, NonCacheableObjectsCount0) {
  const auto process = Begin();
  SetLimit(*process, static_cast<int64_t>(kSize) - 1);
  const Reply made = Make(*process, kTensor, 0);
  EXPECT_FALSE(made.cached);
  EXPECT_EQ(made.process, (Counts{0, 0}));
  EXPECT_EQ(Drop(*process, 0).process, (Counts{0, 0}));
}

TEST_F(ContractPoints, ItemsAreReusedByExactSpecAlignmentIncluded) {
  const auto process = Begin();
  EXPECT_EQ(Make(*process, kTensor, 0).row_bytes, 1024);
  Drop(*process, 0);
  const Reply other = Make(*process, kTensor, 0, 0, 2048);
  EXPECT_EQ(other.row_bytes, 2048) << "the strides of another alignment";
  EXPECT_EQ(other.hits.exact, 0u);
  Drop(*process, 0);
  const Reply again = Make(*process, kTensor, 0, 0, 2048);
  EXPECT_EQ(again.hits.exact, 1u);
  EXPECT_EQ(again.slot, other.slot);
}

TEST_F(ContractPoints, MemoryIsReusedByCapacity) {
  const auto process = Begin();
  const Reply buffer = Make(*process, kBuffer, 0);
  Drop(*process, 0);
  const Reply image = Make(*process, kImage, 0);
  EXPECT_EQ(image.slot, buffer.slot);
  EXPECT_EQ(image.bytes, 300 * kKiB) << "counts as it was granted";
  Drop(*process, 0);
  EXPECT_EQ(Make(*process, kLargerTensor, 0).hits.misses, 2u) << "too small";
}

TEST_F(ContractPoints, CreatedItemsAreInTheCacheWhileInUse) {
  const auto process = Begin();
  EXPECT_EQ(Make(*process, kTensor, 0).process, (Counts{1, kSize}));
  EXPECT_EQ(Make(*process, kTensor, 1).process, (Counts{2, 2 * kSize}));
  EXPECT_EQ(Drop(*process, 0).process, (Counts{2, 2 * kSize}));
}

TEST_F(ContractPoints, TheLimitIsTheDaemonsByDefault) {
  const auto process = Begin();
  EXPECT_EQ(Do(*process, {.op = Op::kReadLimit}).limit, kLimit);
}

TEST_F(ContractPoints, Limit0CachesNoMemory) {
  const auto process = Begin();
  SetLimit(*process, 0);
  EXPECT_EQ(Make(*process, kTensor, 0).process, (Counts{0, 0}));
  EXPECT_EQ(Make(*process, kStream, 1).process, (Counts{1, 0}));
}

TEST_F(ContractPoints, ALimitAboveTheDeviceIsTaken) {
  const auto process = Begin();
  EXPECT_EQ(SetLimit(*process, int64_t{1} << 60).limit, int64_t{1} << 60);
  EXPECT_EQ(Make(*process, kTensor, 0).process, (Counts{1, kSize}));
}

TEST_F(ContractPoints, ANegativeLimitIsRefused) {
  const auto process = Begin();
  SetLimit(*process, 12345);
  EXPECT_THROW(SetLimit(*process, -1), std::runtime_error);
  EXPECT_EQ(Do(*process, {.op = Op::kReadLimit}).limit, 12345);
}

TEST_F(ContractPoints, AnObjectLargerThanTheLimitWorksAndEvictsNothing) {
  const auto process = Begin();
  SetLimit(*process, static_cast<int64_t>(kSize));
  Make(*process, kTensor, 0);
  const Reply large = Make(*process, kLargestImage, 1);
  EXPECT_FALSE(large.cached);
  EXPECT_EQ(large.process, (Counts{1, kSize}));
}

TEST_F(ContractPoints, PolicyClearEmptiesTheCacheAtTheLimit) {
  SetPolicy(server::Policy::kClear);
  const auto process = Begin();
  SetLimit(*process, 3 * static_cast<int64_t>(kSize));
  for (const int at : {0, 1, 2}) Make(*process, kTensor, at);
  Drop(*process, 0);
  EXPECT_EQ(Make(*process, kLargerTensor, 3).process, (Counts{1, 344 * kKiB}));
}

TEST_F(ContractPoints, PolicyLruTakesTheOldestIdleFirst) {
  const auto process = Begin();
  SetLimit(*process, 1000 * kKiB);
  Make(*process, kTensor, 0);
  Make(*process, kLargerTensor, 1);
  Drop(*process, 1);
  Drop(*process, 0);
  EXPECT_EQ(Make(*process, kLargestImage, 2).process, (Counts{2, (440 + 272) * kKiB}));
  EXPECT_EQ(Make(*process, kTensor, 0).hits.exact, 1u) << "the one released last stayed";
}

TEST_F(ContractPoints, SizeAndClearGoByThreadScope) {
  const auto process = Begin(2);
  Make(*process, kTensor, 0, 0);
  Make(*process, kPayload, 1, 0);
  const Reply second = Make(*process, kTensor, 2, 1);
  EXPECT_EQ(second.thread, (Counts{1, kSize}));
  EXPECT_EQ(second.process, (Counts{3, 2 * kSize}));
  const Reply cleared = Do(*process, {.op = Op::kClearThread}, 1);
  EXPECT_EQ(cleared.thread, (Counts{0, 0}));
  EXPECT_EQ(cleared.process, (Counts{2, kSize}));
  EXPECT_EQ(Do(*process, {.op = Op::kClearProcess}, 1).process, (Counts{0, 0}));
  EXPECT_EQ(Read(*process, 0).thread, (Counts{0, 0}));
}

TEST_F(ContractPoints, ClearKeepsObjectsInUseValid) {
  const auto process = Begin();
  const Reply kept = Make(*process, kTensor, 0);
  EXPECT_EQ(Do(*process, {.op = Op::kClearProcess}).process, (Counts{0, 0}));
  for (const int at : {1, 2, 3}) EXPECT_NE(Make(*process, kTensor, at).slot, kept.slot);
  EXPECT_NO_THROW(Drop(*process, 0)) << "its memory was given to another";
  EXPECT_EQ(Make(*process, kTensor, 0).hits.exact, 0u) << "what left the cache came back to it";
}

TEST_F(ContractPoints, IdleItemsAreTheThreadsOwn) {
  const auto process = Begin(2);
  Make(*process, kTensor, 0, 0);
  Drop(*process, 0, 0);
  EXPECT_EQ(Make(*process, kTensor, 0, 1).hits.misses, 2u);
}

TEST_F(ContractPoints, AThreadsEndLeavesItsMemoryToTheDepotAndItsOtherItemsToNobody) {
  const auto process = Begin(2);
  const Reply made = Make(*process, kTensor, 0, 1);
  Make(*process, kStream, 1, 1);
  Make(*process, kImage, 2, 1);
  Drop(*process, 0, 1);
  process->Leave(1);
  EXPECT_EQ(Read(*process).process, (Counts{2, 2 * kSize}));
  const Reply adopted = Make(*process, kTensor, 0);
  EXPECT_EQ(adopted.slot, made.slot);
  EXPECT_EQ(adopted.hits.depot, 1u);
  EXPECT_EQ(adopted.thread, (Counts{1, kSize}));
  Drop(*process, 2);  // an orphan
  EXPECT_EQ(Make(*process, kImage, 2).hits.depot, 2u);
}

TEST_F(ContractPoints, WhatAnotherThreadReleasesReturnsToItsMaker) {
  const auto process = Begin(2);
  const Reply made = Make(*process, kTensor, 0, 0);
  Drop(*process, 0, 1);
  EXPECT_EQ(Make(*process, kTensor, 1, 1).hits.misses, 2u);
  EXPECT_EQ(Make(*process, kTensor, 0, 0).slot, made.slot);
}

TEST_F(ContractPoints, OneLimitForAllThreads) {
  const auto process = Begin(2);
  SetLimit(*process, static_cast<int64_t>(2 * kSize), 0);
  Make(*process, kTensor, 0, 0);
  Make(*process, kTensor, 1, 1);
  Drop(*process, 0, 0);
  const Reply third = Make(*process, kImage, 2, 1);
  EXPECT_EQ(third.process, (Counts{2, 2 * kSize}));
  EXPECT_EQ(third.thread, (Counts{2, 2 * kSize}));
}

TEST_F(ContractPoints, OneLimitForAllProcesses) {
  daemon_.broker().With([](server::Books& books) { books.SetLimit(2 * kSize); });
  const auto first = Begin(), second = Begin();
  Make(*first, kTensor, 0);
  Make(*first, kTensor, 1);
  Drop(*first, 0);
  EXPECT_EQ(Make(*second, kTensor, 0).process, (Counts{1, kSize}));
  EXPECT_EQ(Read(*first).process, (Counts{1, kSize}));
}

}  // namespace
}  // namespace nvcv_cached::contract
