// How slabs get into this process: the host's by mapping a descriptor, a GPU's by opening a CUDA
// IPC handle. Thread-safety: thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace nvcv_cached::client {

class SlabMapper {
 public:
  struct Handle {
    int fd = -1;                // host
    std::string cuda_ipc = {};  // cuda: the 64 bytes
  };

  virtual ~SlabMapper() = default;

  // RESOURCE_EXHAUSTED: no address space or too many mappings; of a GPU the driver's own words.
  virtual absl::StatusOr<void*> Map(const Handle& handle, size_t size_bytes) = 0;

  // Nothing in it is in use any more. `unmapped` is called once it is unmapped: before this
  // returns, or later on another thread.
  virtual void Unmap(void* data, size_t size_bytes, std::function<void()> unmapped) = 0;
};

class HostMapper final : public SlabMapper {
 public:
  absl::StatusOr<void*> Map(const Handle& handle, size_t size_bytes) override;
  void Unmap(void* data, size_t size_bytes, std::function<void()> unmapped) override;
};

}  // namespace nvcv_cached::client
