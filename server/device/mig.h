// The instances of GPUs that are divided by MIG. The CUDA driver shows a process one instance at a
// time, the one that CUDA_VISIBLE_DEVICES names; only the management library (NVML) lists them.
//
// Thread-safety: thread-safe. NVML is loaded for the call and takes nothing of a GPU.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace nvcv_cached::server {

struct NodeGpu {
  std::string uuid;  // GPU-...
  bool divided = false;
  std::vector<std::string> instances;  // MIG-..., where it is divided
};

// NVML's view of this node, in nvidia-smi's order. NOT_FOUND: there is no NVML; INTERNAL: it fails,
// with its number.
absl::StatusOr<std::vector<NodeGpu>> ListNodeGpus();

}  // namespace nvcv_cached::server
