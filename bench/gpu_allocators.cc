// What an object on the GPU costs, ours beside the driver's own ways, in one process and one run.
// Google Benchmark.
//
//   NVCV_CACHED_ADDRESS=... gpu_allocators --benchmark_format=json
//
// bench/run.py --device cuda:0 starts a daemon for it. Sizes are those of a 1080x1920x3 uint8
// image. `Busy` benchmarks run while a kernel of 20 ms after the other occupies the GPU: no call
// may wait for it. Where the driver runs no kernels (the fake one) those say so.
#include <benchmark/benchmark.h>
#include <nvcv_cached/nvcv_cached.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

#include "bench/gpu_busy.h"

namespace nvcv_cached {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kImage = 1080 * 1920 * 3;

double Microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

// ---- hits

void Hit(benchmark::State& state) {
  OwnStream();
  for (auto _ : state) {
    Buffer buffer(kImage);
    benchmark::DoNotOptimize(buffer);
  }
}
BENCHMARK(Hit)->ThreadRange(1, 16)->UseRealTime();

void HitHandedOut(benchmark::State& state) {
  const Stream stream(OwnStream());
  const StreamScope scope(stream);
  for (auto _ : state) {
    Buffer buffer(kImage);
    benchmark::DoNotOptimize(buffer.data());
  }
}
BENCHMARK(HitHandedOut)->ThreadRange(1, 16)->UseRealTime();

// What the driver takes of that: the one event that a release records.
void EventRecord(benchmark::State& state) {
  CUstream stream = OwnStream();
  CUevent event = nullptr;
  Cuda().EventCreate(&event, CU_EVENT_DISABLE_TIMING);
  for (auto _ : state) Cuda().EventRecord(event, stream);
  Cuda().StreamSynchronize(stream);
  Cuda().EventDestroy(event);
}
BENCHMARK(EventRecord);

// The rest of a thread's cache: 1,000 specs that nobody asks for.
void HitAmong1000(benchmark::State& state) {
  OwnStream();
  for (int64_t i = 0; i < 1000; ++i) Tensor(Shape{i + 1, 64}, DataType::kU8, "HW");
  Hit(state);
}
BENCHMARK(HitAmong1000);

// In turn on two streams: each reuse waits, on the GPU, for the other stream's work.
void HitOnAnotherStream(benchmark::State& state) {
  const Stream one(OwnStream());
  const Stream other;
  bool turn = false;
  for (auto _ : state) {
    const StreamScope scope((turn = !turn) ? one : other);
    Buffer buffer(kImage);
    benchmark::DoNotOptimize(buffer.data());
  }
}
BENCHMARK(HitOnAnotherStream);

void MallocAsyncFreeAsync(benchmark::State& state) {
  CUstream stream = OwnStream();
  for (auto _ : state) {
    CUdeviceptr memory = 0;
    Cuda().MemAllocAsync(&memory, kImage, stream);
    benchmark::DoNotOptimize(memory);
    Cuda().MemFreeAsync(memory, stream);
  }
  Cuda().StreamSynchronize(stream);
}
BENCHMARK(MallocAsyncFreeAsync)->ThreadRange(1, 16)->UseRealTime();

void MallocFree(benchmark::State& state) {
  OwnStream();
  for (auto _ : state) {
    CUdeviceptr memory = 0;
    Cuda().MemAlloc(&memory, kImage);
    benchmark::DoNotOptimize(memory);
    Cuda().MemFree(memory);
  }
}
BENCHMARK(MallocFree)->UseRealTime();

// ---- the same while the GPU is busy

void HitBusy(benchmark::State& state) {
  Busy busy;
  NEEDS_BUSY_GPU(state, busy);
  Hit(state);
}
BENCHMARK(HitBusy);

void HitHandedOutBusy(benchmark::State& state) {
  Busy busy;
  NEEDS_BUSY_GPU(state, busy);
  HitHandedOut(state);
}
BENCHMARK(HitHandedOutBusy);

void EventRecordBusy(benchmark::State& state) {
  Busy busy;
  NEEDS_BUSY_GPU(state, busy);
  EventRecord(state);
}
BENCHMARK(EventRecordBusy);

void MallocAsyncFreeAsyncBusy(benchmark::State& state) {
  Busy busy;
  NEEDS_BUSY_GPU(state, busy);
  MallocAsyncFreeAsync(state);
}
BENCHMARK(MallocAsyncFreeAsyncBusy);

void MallocFreeBusy(benchmark::State& state) {
  Busy busy;
  NEEDS_BUSY_GPU(state, busy);
  MallocFree(state);
}
BENCHMARK(MallocFreeBusy)->Iterations(20);

// ---- misses: a limit of 0 makes every acquire a round trip that the pool serves

void Misses(benchmark::State& state) {
  OwnStream();
  const int64_t before = get_cache_limit_inbytes();
  { Buffer first(kImage); }
  set_cache_limit_inbytes(0);
  double worst = 0;
  for (auto _ : state) {
    const auto begin = Clock::now();
    {
      Buffer buffer(kImage);
      benchmark::DoNotOptimize(buffer);
    }
    worst = std::max(worst, Microseconds(Clock::now() - begin));
  }
  state.counters["max_us"] = worst;
  set_cache_limit_inbytes(before);
}
void Miss(benchmark::State& state) { Misses(state); }
BENCHMARK(Miss)->UseRealTime();

void MissBusy(benchmark::State& state) {
  Busy busy;
  NEEDS_BUSY_GPU(state, busy);
  Misses(state);
}
BENCHMARK(MissBusy)->UseRealTime();

// 64 misses of one small spec in a row: granted ahead.
void MissesInARow(benchmark::State& state) {
  OwnStream();
  for (auto _ : state) {
    state.PauseTiming();
    clear_cache();
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

// ---- over the limit while the GPU is busy

// Random shapes, handed out on the busy stream's neighbour, at a limit far below what they need
// together.
void OverTheLimitBusy(benchmark::State& state) {
  Busy busy;
  NEEDS_BUSY_GPU(state, busy);
  const Stream stream(OwnStream());
  const StreamScope scope(stream);
  const int64_t before = get_cache_limit_inbytes();
  set_cache_limit_inbytes(int64_t{256} << 20);
  std::mt19937 random(42);
  std::uniform_int_distribution<size_t> side(1000, 2000);
  std::vector<double> times;
  const auto make = [&] {
    const size_t bytes = side(random) * side(random) * 12;
    const auto begin = Clock::now();
    {
      Buffer buffer(bytes);
      Cuda().MemsetD8Async(reinterpret_cast<CUdeviceptr>(buffer.data()), 1, bytes, OwnStream());
    }
    return Microseconds(Clock::now() - begin);
  };
  for (int warm = 0; warm < 1000; ++warm) make();  // until the pool has what the trace needs
  for (auto _ : state) times.push_back(make());
  set_cache_limit_inbytes(before);
  std::sort(times.begin(), times.end());
  state.counters["p99_us"] = times[times.size() * 99 / 100];
  state.counters["max_us"] = times.back();
}
BENCHMARK(OverTheLimitBusy)->UseRealTime()->Iterations(2000);

// ---- random shapes

std::vector<Shape> RandomImages() {
  std::mt19937 random(42);
  std::uniform_int_distribution<int64_t> side(1000, 2000);
  std::vector<Shape> shapes;
  for (int i = 0; i < 1024; ++i) shapes.push_back(Shape{side(random), side(random), 3});
  return shapes;
}

void RandomShapes(benchmark::State& state) {
  const Stream stream(OwnStream());
  const StreamScope scope(stream);
  const std::vector<Shape> shapes = RandomImages();
  const TensorLayout layout("HWC");
  for (const Shape& shape : shapes) Tensor(shape, DataType::kF32, layout);
  size_t next = 0;
  for (auto _ : state) {
    Tensor image(shapes[next++ % shapes.size()], DataType::kF32, layout);
    benchmark::DoNotOptimize(image.data());
  }
}
BENCHMARK(RandomShapes);

void RandomShapesMallocAsync(benchmark::State& state) {
  CUstream stream = OwnStream();
  const std::vector<Shape> shapes = RandomImages();
  size_t next = 0;
  for (auto _ : state) {
    const Shape& shape = shapes[next++ % shapes.size()];
    CUdeviceptr memory = 0;
    Cuda().MemAllocAsync(&memory, static_cast<size_t>(shape[0] * shape[1] * 12), stream);
    benchmark::DoNotOptimize(memory);
    Cuda().MemFreeAsync(memory, stream);
  }
  Cuda().StreamSynchronize(stream);
}
BENCHMARK(RandomShapesMallocAsync);

}  // namespace
}  // namespace nvcv_cached

BENCHMARK_MAIN();
