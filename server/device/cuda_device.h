// A GPU as a Device: slabs are device memory, mapped by clients through CUDA IPC.
//
// Each slab is one cuMemAlloc of whole 2 MiB pages (two small allocations would share a page, and
// an importer of one would reach the other), zeroed by this process (M4) and exported once. The
// daemon's context is the GPU's primary one, made small: no kernel runs in it. It never waits for
// other processes' work: FreeSlab gives the memory back to the driver, and who has it mapped keeps
// it.
//
// A driver error that leaves the context without use ends the daemon through `on_failure`, so that
// it is started again: a daemon that cannot make slabs any more helps nobody.
//
// Invariant: slabs_ holds exactly what was allocated and not freed. Thread-safety: as Device; each
// call makes the context current on the calling thread for its own time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "server/device/cuda_gpu.h"
#include "server/device/device.h"

namespace nvcv_cached::server {

struct CudaDeviceOptions {
  // Called on the thread that met it; need not return.
  std::function<void(const absl::Status&)> on_failure;
};

class CudaDevice final : public Device {
 public:
  // `driver` outlives it. FAILED_PRECONDITION: no context can be made, or memory cannot be exported
  // (tried once); the text says what the driver said and what to do.
  static absl::StatusOr<std::unique_ptr<CudaDevice>> Open(const CudaDriver& driver, const Gpu& gpu,
                                                          CudaDeviceOptions options);
  ~CudaDevice() override;

  const DeviceInfo& info() const override { return gpu_.info; }
  // ALREADY_EXISTS, INVALID_ARGUMENT (not a multiple of the granularity), RESOURCE_EXHAUSTED,
  // INTERNAL.
  absl::StatusOr<SlabHandle> AllocateSlab(uint64_t slab, uint64_t size_bytes) override;
  absl::Status FreeSlab(uint64_t slab) override;  // NOT_FOUND
  uint64_t FreeBytes() override;

 private:
  class Current;  // the context is current on this thread while it lives

  CudaDevice(const CudaDriver& driver, const Gpu& gpu, CudaDeviceOptions options)
      : driver_(driver), gpu_(gpu), options_(std::move(options)) {}

  absl::Status MakeContext();
  absl::Status Zero(CUdeviceptr memory, uint64_t size_bytes);
  absl::StatusOr<std::string> Export(CUdeviceptr memory, uint64_t size_bytes);
  absl::Status Check(CUresult result, const char* what);

  const CudaDriver& driver_;
  const Gpu gpu_;
  const CudaDeviceOptions options_;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;  // of our own memsets; waits for no other stream
  std::unordered_map<uint64_t, CUdeviceptr> slabs_;
};

}  // namespace nvcv_cached::server
