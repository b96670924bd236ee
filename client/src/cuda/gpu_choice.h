// Which GPU a process means: by index, by UUID, or the one that is current. Loads the driver and
// starts it (cuInit), makes no context. Thread-safety: thread-safe.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace nvcv_cached::client {

struct SeenGpu {
  int ordinal = 0;
  CUdevice device = 0;
  std::string uuid;  // "GPU-..." or "MIG-...", as sockets are named
  std::string name;
  uint64_t total_bytes = 0;
};

// A UUID, with or without its prefix, or "cuda:N" in this process's numbering. NOT_FOUND lists what
// this process sees, INVALID_ARGUMENT: neither of both, DEVICE_ERROR: the driver's own words.
absl::StatusOr<SeenGpu> FindGpu(std::string_view named);

// How many GPUs this process sees; 0: none, or no driver. DEVICE_ERROR: a driver that fails.
absl::StatusOr<int> CountGpus();

// The calling thread's current GPU, in this process's numbering: 0 without a context. Only where
// CountGpus found some.
int CurrentOrdinalOfThread();

// The device of the calling thread's current context, else the first. NOT_FOUND: no driver, or no
// GPU for this process.
absl::StatusOr<SeenGpu> CurrentGpu();

}  // namespace nvcv_cached::client
