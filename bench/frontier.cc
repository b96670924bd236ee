// One point of the frontier: one allocator on the random image trace.
//
//   frontier ALLOCATOR IMAGES SEED      ALLOCATOR: cached, malloc, memfd, shm_open
//
// Touches one byte of each page of every image, as any use of it would, outside of the time that
// counts for the pages that are there already: the time of a page's first touch belongs to the
// allocator. Prints one line of JSON: microseconds per image (make, first touch, drop), peak bytes
// live, and for malloc the peak resident bytes. What `cached` holds is in the daemon's books; the
// caller asks there.
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "bench/allocators.h"
#include "bench/trace.h"

namespace nvcv_cached::bench {
namespace {

constexpr size_t kPage = 4096;

void Touch(void* data, size_t bytes) {
  volatile char* at = static_cast<char*>(data);
  for (size_t i = 0; i < bytes; i += kPage) at[i] = 1;
}

size_t ResidentBytes() {
  long total = 0, resident = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld %ld", &total, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return static_cast<size_t>(resident) * kPage;
}

template <class Allocator>
void Run(const char* name, size_t images, uint64_t seed) {
  using Memory = decltype(Allocator::Make(1));
  ImageTrace trace(seed);
  std::vector<std::optional<Memory>> live(kWindow);
  std::vector<size_t> sizes(kWindow, 0);
  size_t live_bytes = 0, peak_live = 0, peak_resident = 0;
  const size_t base = ResidentBytes();
  std::chrono::nanoseconds spent{0};
  size_t counted = 0;
  for (size_t i = 0; i < images; ++i) {
    const size_t at = i < kWindow ? i : trace.Victim(kWindow);
    const size_t bytes = trace.Next().bytes();
    const auto start = std::chrono::steady_clock::now();
    live[at].reset();
    live[at].emplace(Allocator::Make(bytes));
    Touch(live[at]->data(), bytes);
    const auto end = std::chrono::steady_clock::now();
    if (i >= images / 4) {  // the first quarter warms every allocator up
      spent += end - start;
      ++counted;
    }
    live_bytes += bytes - sizes[at];
    sizes[at] = bytes;
    peak_live = std::max(peak_live, live_bytes);
    if (i % 8 == 0) peak_resident = std::max(peak_resident, ResidentBytes() - base);
  }
  std::printf(
      "{\"allocator\": \"%s\", \"us_per_image\": %.3f, \"peak_live\": %zu, \"peak_resident\": "
      "%zu}\n",
      name,
      static_cast<double>(spent.count()) / 1e3 / static_cast<double>(std::max<size_t>(1, counted)),
      peak_live, peak_resident);
  std::fflush(stdout);
  // The caller reads the daemon's books while the window is still live.
  std::getchar();
}

}  // namespace
}  // namespace nvcv_cached::bench

int main(int argc, char** argv) {
  using namespace nvcv_cached::bench;
  if (argc != 4) {
    std::fprintf(stderr, "usage: frontier cached|malloc|memfd|shm_open IMAGES SEED\n");
    return 2;
  }
  const std::string name = argv[1];
  const size_t images = std::stoul(argv[2]);
  const uint64_t seed = std::stoul(argv[3]);
  if (name == "cached") Run<Cached>(argv[1], images, seed);
  if (name == "malloc") Run<Malloc>(argv[1], images, seed);
  if (name == "memfd") Run<Memfd>(argv[1], images, seed);
  if (name == "shm_open") Run<ShmOpen>(argv[1], images, seed);
  return 0;
}
