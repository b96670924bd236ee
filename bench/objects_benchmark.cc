// Hits and misses of the C++ library against what a program has without it, in one run.
//
//   NVCV_CACHED_ADDRESS=... objects_benchmark --benchmark_out=out.json --benchmark_out_format=json
//
// Needs a running daemon. Names are read by bench/run.py; keep them.
#include <benchmark/benchmark.h>

#include <memory>
#include <thread>
#include <vector>

#include "bench/allocators.h"

namespace nvcv_cached::bench {
namespace {

constexpr int64_t kHeight = 1080, kWidth = 1920;
constexpr size_t kBytes = kHeight * kWidth * 3;

void TensorHit(benchmark::State& state) {
  const Shape shape{kHeight, kWidth, 3};
  const TensorLayout layout("HWC");
  for (auto _ : state) {
    Tensor frame(shape, DataType::kU8, layout);
    benchmark::DoNotOptimize(frame);
  }
}
BENCHMARK(TensorHit)->ThreadRange(1, 16)->UseRealTime();

void BufferHit(benchmark::State& state) {
  for (auto _ : state) {
    Buffer frame(kBytes);
    benchmark::DoNotOptimize(frame);
  }
}
BENCHMARK(BufferHit)->ThreadRange(1, 16)->UseRealTime();

// The same hit while 1,000 other specs lie idle in the thread's cache.
void TensorHitAmong1000(benchmark::State& state) {
  {
    std::vector<Tensor> others;
    for (int64_t i = 0; i < 1000; ++i) others.emplace_back(Shape{i + 1, 64}, DataType::kU8, "HW");
  }
  const Shape shape{kHeight, kWidth, 3};
  const TensorLayout layout("HWC");
  for (auto _ : state) {
    Tensor frame(shape, DataType::kU8, layout);
    benchmark::DoNotOptimize(frame);
  }
  clear_cache();
}
BENCHMARK(TensorHitAmong1000)->UseRealTime();

template <class Allocator>
void MakeAndDrop(benchmark::State& state) {
  for (auto _ : state) {
    auto memory = Allocator::Make(kBytes);
    benchmark::DoNotOptimize(memory.data());
  }
}
BENCHMARK(MakeAndDrop<Malloc>)->ThreadRange(1, 16)->UseRealTime();
BENCHMARK(MakeAndDrop<Memfd>)->UseRealTime();
BENCHMARK(MakeAndDrop<ShmOpen>)->UseRealTime();

// The same with one byte of every page written: what the first use of fresh memory costs.
template <class Allocator>
void MakeTouchDrop(benchmark::State& state) {
  for (auto _ : state) {
    auto memory = Allocator::Make(kBytes);
    volatile char* at = static_cast<char*>(memory.data());
    for (size_t i = 0; i < kBytes; i += 4096) at[i] = 1;
  }
}
BENCHMARK(MakeTouchDrop<Cached>)->UseRealTime();
BENCHMARK(MakeTouchDrop<Malloc>)->UseRealTime();
BENCHMARK(MakeTouchDrop<Memfd>)->UseRealTime();
BENCHMARK(MakeTouchDrop<ShmOpen>)->UseRealTime();

// A miss that the pool serves: nothing idle, one round trip, memory that is there already.
void PoolMiss(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    clear_cache();
    state.ResumeTiming();
    Buffer frame(kBytes);
    benchmark::DoNotOptimize(frame);
  }
}
BENCHMARK(PoolMiss)->UseRealTime()->Iterations(2000);

// 64 misses of one small spec in a row, per object: grant ahead.
void SmallMisses64(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    clear_cache();
    std::vector<Buffer> buffers;
    buffers.reserve(64);
    state.ResumeTiming();
    for (int i = 0; i < 64; ++i) buffers.emplace_back(4096);
    state.PauseTiming();
    buffers.clear();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(SmallMisses64)->UseRealTime()->Iterations(200);

// Random shapes, one live, warm: served by size.
void RandomShapes(benchmark::State& state) {
  uint64_t random = 88172645463325252u;
  auto next = [&random] {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return static_cast<int64_t>(1000 + random % 1001);
  };
  for (int i = 0; i < 2000; ++i) Tensor({next(), next(), 3}, DataType::kF32, "HWC");
  for (auto _ : state) {
    Tensor frame({next(), next(), 3}, DataType::kF32, "HWC");
    benchmark::DoNotOptimize(frame);
  }
}
BENCHMARK(RandomShapes)->UseRealTime();

// The first object of a new thread whose process has the spec idle in the depot. Timed inside the
// thread.
void NewThreadFromDepot(benchmark::State& state) {
  std::thread([] { Buffer frame(kBytes); }).join();
  for (auto _ : state) {
    double seconds = 0;
    std::thread([&seconds] {
      auto start = std::chrono::steady_clock::now();
      Buffer frame(kBytes);
      benchmark::DoNotOptimize(frame);
      seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }).join();
    state.SetIterationTime(seconds);
  }
}
BENCHMARK(NewThreadFromDepot)->UseManualTime()->Iterations(5000);

}  // namespace
}  // namespace nvcv_cached::bench

BENCHMARK_MAIN();
