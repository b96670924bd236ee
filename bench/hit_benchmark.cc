// The hot path alone, over an in-process source of leases: what a hit, a fit, a new thread and a
// row of misses cost without a daemon. Google Benchmark; no daemon needed.
//
//   hit_benchmark --benchmark_out=hit.json --benchmark_out_format=json
#include <benchmark/benchmark.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "nvcv_cached/buffer.h"
#include "nvcv_cached/tensor.h"
#include "tests/client/fake_source.h"

namespace nvcv_cached::client {
namespace {

FakeSource& Daemon() {
  static FakeSource& daemon = FakeSource::Install();
  return daemon;
}

void BufferHit(benchmark::State& state) {
  Daemon();
  for (auto _ : state) {
    Buffer buffer(6220800);
    benchmark::DoNotOptimize(buffer);
  }
}
BENCHMARK(BufferHit)->ThreadRange(1, 16)->UseRealTime();

void TensorHit(benchmark::State& state) {
  Daemon();
  const Shape shape{1080, 1920, 3};
  const TensorLayout layout("HWC");
  for (auto _ : state) {
    Tensor frame(shape, DataType::kU8, layout);
    benchmark::DoNotOptimize(frame);
  }
}
BENCHMARK(TensorHit)->ThreadRange(1, 16)->UseRealTime();

// The same, and the pointer is taken: the host has no fence to make.
void TensorHitHandedOut(benchmark::State& state) {
  Daemon();
  const Shape shape{1080, 1920, 3};
  const TensorLayout layout("HWC");
  for (auto _ : state) {
    Tensor frame(shape, DataType::kU8, layout);
    benchmark::DoNotOptimize(frame.data());
  }
}
BENCHMARK(TensorHitHandedOut);

// One spec while `range` other specs lie idle.
void TensorHitAmongIdle(benchmark::State& state) {
  FakeSource::Install();
  {
    std::vector<Tensor> others;
    for (int64_t i = 0; i < state.range(0); ++i) {
      others.emplace_back(Shape{i + 1, 64}, DataType::kU8, "HW");
    }
  }
  const Shape shape{1080, 1920, 3};
  const TensorLayout layout("HWC");
  for (auto _ : state) {
    Tensor frame(shape, DataType::kU8, layout);
    benchmark::DoNotOptimize(frame);
  }
}
BENCHMARK(TensorHitAmongIdle)->Arg(10)->Arg(100)->Arg(1000);

// All `range` specs in turn: the caches of the processor take part.
void TensorHitOverAll(benchmark::State& state) {
  FakeSource::Install();
  std::vector<Shape> shapes;
  for (int64_t i = 0; i < state.range(0); ++i) shapes.push_back(Shape{i + 1, 64});
  {
    std::vector<Tensor> all;
    for (const Shape& shape : shapes) all.emplace_back(shape, DataType::kU8, "HW");
  }
  size_t next = 0;
  for (auto _ : state) {
    Tensor frame(shapes[next], DataType::kU8, "HW");
    benchmark::DoNotOptimize(frame);
    if (++next == shapes.size()) next = 0;
  }
}
BENCHMARK(TensorHitOverAll)->Arg(10)->Arg(100)->Arg(1000);

// (1000..2000)^2 x 3 float32, one live, warm: hits by size, new objects on old memory.
void RandomShapes(benchmark::State& state) {
  FakeSource& daemon = FakeSource::Install();
  std::mt19937 random(42);
  std::uniform_int_distribution<int64_t> side(1000, 2000);
  std::vector<Shape> shapes;
  for (int i = 0; i < 4096; ++i) shapes.push_back(Shape{side(random), side(random), 3});
  const TensorLayout layout("HWC");
  for (const Shape& shape : shapes) Tensor(shape, DataType::kF32, layout);
  const int warm = daemon.acquires();
  size_t next = 0;
  for (auto _ : state) {
    Tensor image(shapes[next++ % shapes.size()], DataType::kF32, layout);
    benchmark::DoNotOptimize(image);
  }
  state.counters["leases"] = daemon.leases();
  state.counters["misses"] = daemon.acquires() - warm;
}
BENCHMARK(RandomShapes);

// The first object of a new thread, from the depot, and the thread's end; without the thread's own
// making.
void NewThreadFromDepot(benchmark::State& state) {
  FakeSource::Install();
  std::thread([] { Buffer idle(6220800); }).join();
  for (auto _ : state) {
    double seconds = 0;
    std::thread([&] {
      const auto begin = std::chrono::steady_clock::now();
      {
        Buffer buffer(6220800);
        benchmark::DoNotOptimize(buffer);
      }
      seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }).join();
    state.SetIterationTime(seconds);
  }
}
BENCHMARK(NewThreadFromDepot)->UseManualTime();

// One thread makes, another drops, in batches of 32.
void DroppedByAnotherThread(benchmark::State& state) {
  FakeSource::Install();
  constexpr int kBatch = 32;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Buffer> box;
  bool done = false;
  std::thread other([&] {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return done || !box.empty(); });
      if (done) return;
      box.clear();
      changed.notify_all();
    }
  });
  for (auto _ : state) {
    std::vector<Buffer> batch;
    batch.reserve(kBatch);
    for (int i = 0; i < kBatch; ++i) batch.emplace_back(1 << 20);
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return box.empty(); });
    box.swap(batch);
    changed.notify_all();
  }
  {
    std::unique_lock lock(mutex);
    done = true;
    changed.notify_all();
  }
  other.join();
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(DroppedByAnotherThread)->UseRealTime();

// 64 misses of one small spec in a row, each round trip 90 us as over gRPC: asked ahead.
void MissesInARow(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    FakeSource& daemon = FakeSource::Install();
    daemon.set_round_trip(std::chrono::microseconds(90));
    std::vector<Buffer> held;
    held.reserve(64);
    state.ResumeTiming();
    for (int i = 0; i < 64; ++i) held.emplace_back(4096);
    state.PauseTiming();
    held.clear();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(MissesInARow)->Iterations(20)->UseRealTime();

}  // namespace
}  // namespace nvcv_cached::client

BENCHMARK_MAIN();
