// Which GPU a daemon serves, and whether it can.
//
// A GPU is named as people name it: cuda:N (nvidia-smi's order, which is the PCI bus's), GPU-uuid
// or MIG-uuid, both as `nvidia-smi -L` prints them; a UUID may be cut short where that is not
// ambiguous. What CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER say to the daemon's clients does not
// matter here: PrepareCudaEnvironment overrules both.
//
// Nothing here makes a context or takes memory of the GPU. Thread-safety: PrepareCudaEnvironment
// before the process has a second thread; FindGpu is thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/cuda_driver.h"
#include "server/device/device.h"

namespace nvcv_cached::server {

// The size of the GPU's pages: allocations that are multiples of it share no page with others.
inline constexpr uint64_t kGpuPageBytes = uint64_t{2} << 20;

struct Gpu {
  CUdevice device = 0;
  DeviceInfo info;
  std::vector<std::string> warnings;  // it works, but perhaps not as meant
};

// Before cuInit. A MIG instance is only seen by a process that asks for it by name. Where nobody
// names a GPU ("") and CUDA_VISIBLE_DEVICES is empty, there is none.
void PrepareCudaEnvironment(const std::string& name);

// NOT_FOUND: no such GPU, with those there are. FAILED_PRECONDITION: it cannot be shared between
// processes (compute mode, MPS, an integrated GPU), with what to do.
absl::StatusOr<Gpu> FindGpu(const CudaDriver& driver, const std::string& name);

// All that this process may see, in nvidia-smi's order.
absl::StatusOr<std::vector<DeviceInfo>> ListGpus(const CudaDriver& driver);

std::string FormatUuid(const CUuuid& uuid);  // 8932f937-d72c-4106-c12f-20bd9faed9f6

}  // namespace nvcv_cached::server
