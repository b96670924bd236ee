// The time of the random program, for its daemon and all its workers: it goes on with each step,
// and by one tick each time that anybody looks.
//
// Least recently used goes by milliseconds, and many steps of the program fall into one. On this
// clock no two releases have the same time, and what lies between a daemon's look and a client's
// (which is how a session sets its clock) is less than a step: so the order of evictions is
// certain. Thread-safe, across processes too.
#pragma once

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace nvcv_cached::contract {

class StepClock {
 public:
  static constexpr int64_t kStep = 256;  // ticks; each is a millisecond to who looks

  // Of a memfd that all share; the descriptor stays the caller's.
  explicit StepClock(int descriptor) {
    void* const shared = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (shared == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    ticks_ = static_cast<std::atomic<int64_t>*>(shared);
  }
  ~StepClock() { ::munmap(ticks_, kBytes); }
  StepClock(const StepClock&) = delete;
  StepClock& operator=(const StepClock&) = delete;

  static int MakeShared() {
    const int descriptor = ::memfd_create("steps", MFD_CLOEXEC);
    if (descriptor < 0 || ::ftruncate(descriptor, kBytes) != 0) {
      throw std::system_error(errno, std::generic_category(), "memfd_create");
    }
    return descriptor;
  }

  int64_t Look() const { return ticks_->fetch_add(1) + 1; }
  void Step() { ticks_->fetch_add(kStep); }

 private:
  static constexpr size_t kBytes = 4096;
  std::atomic<int64_t>* ticks_;
};

}  // namespace nvcv_cached::contract
