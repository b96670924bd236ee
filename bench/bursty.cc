// One of several bursty processes: works in bursts on a window of random images and rests in
// between.
//
//   bursty SEED BURSTS BURST_MS REST_MS PHASE_MS
//
// A burst makes images, writes each page of them, and drops them again; between bursts everything
// is idle. Prints one line of JSON at the end: images, microseconds per image, hits and misses.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>
#include <vector>

#include "bench/trace.h"
#include "nvcv_cached/nvcv_cached.h"

int main(int argc, char** argv) try {
  using namespace nvcv_cached;
  using std::chrono::milliseconds;
  if (argc != 6) {
    std::fprintf(stderr, "usage: bursty SEED BURSTS BURST_MS REST_MS PHASE_MS\n");
    return 2;
  }
  bench::ImageTrace trace(std::strtoull(argv[1], nullptr, 10));
  const int bursts = std::atoi(argv[2]);
  const milliseconds burst(std::atoi(argv[3])), rest(std::atoi(argv[4])), phase(std::atoi(argv[5]));
  connect();
  std::this_thread::sleep_for(phase);
  size_t images = 0;
  std::chrono::nanoseconds spent{0};
  for (int i = 0; i < bursts; ++i) {
    const auto end = std::chrono::steady_clock::now() + burst;
    std::vector<std::optional<Buffer>> live(bench::kWindow);
    while (std::chrono::steady_clock::now() < end) {
      const size_t at = trace.Victim(live.size());
      const size_t bytes = trace.Next().bytes();
      const auto start = std::chrono::steady_clock::now();
      live[at].reset();
      live[at].emplace(bytes);
      volatile char* data = static_cast<char*>(live[at]->data());
      for (size_t offset = 0; offset < bytes; offset += 4096) data[offset] = 1;
      spent += std::chrono::steady_clock::now() - start;
      ++images;
    }
    live.clear();
    std::this_thread::sleep_for(rest);
  }
  const Stats counted = stats();
  std::printf("{\"images\": %zu, \"us_per_image\": %.2f, \"hits\": %llu, \"misses\": %llu}\n",
              images, static_cast<double>(spent.count()) / 1e3 / static_cast<double>(images),
              static_cast<unsigned long long>(counted.hits),
              static_cast<unsigned long long>(counted.misses));
  return 0;
} catch (const nvcv_cached::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
