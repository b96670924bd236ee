// What a program on shared memory or plain memory has today, behind one call each: the peers of the
// benchmarks.
//
// Each is a type with `static Memory Make(size_t)`, where Memory gives its bytes back when it is
// destroyed. The memory is private to the caller; thread-safe.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "nvcv_cached/nvcv_cached.h"

namespace nvcv_cached::bench {

// malloc and free, as numpy.empty and std::vector use them.
struct Malloc {
  class Memory {
   public:
    explicit Memory(size_t bytes) : data_(std::malloc(bytes)) {}
    Memory(Memory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    Memory& operator=(Memory&& other) noexcept {
      std::swap(data_, other.data_);
      return *this;
    }
    ~Memory() { std::free(data_); }
    void* data() const { return data_; }

   private:
    void* data_;
  };
  static Memory Make(size_t bytes) { return Memory(bytes); }
};

// Memory that can be shared: a descriptor, a mapping, and both away again.
class Mapping {
 public:
  Mapping(int fd, size_t bytes) : bytes_(bytes) {
    if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(bytes)) != 0) std::abort();
    data_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data_ == MAP_FAILED) std::abort();
    ::close(fd);
  }
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }
  void* data() const { return data_; }

 private:
  void* data_;
  size_t bytes_;
};

struct Memfd {
  static Mapping Make(size_t bytes) { return Mapping(::memfd_create("bench", MFD_CLOEXEC), bytes); }
};

struct ShmOpen {
  static Mapping Make(size_t bytes) {
    static std::atomic<int> next{0};
    char name[64];
    std::snprintf(name, sizeof(name), "/nvcv-cached-bench-%d-%d", ::getpid(), next.fetch_add(1));
    int fd = ::shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    ::shm_unlink(name);
    return Mapping(fd, bytes);
  }
};

// Ours: a buffer from the daemon.
struct Cached {
  static Buffer Make(size_t bytes) { return Buffer(bytes); }
};

}  // namespace nvcv_cached::bench
