#include "server/device/cuda_device.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/units.h"

namespace nvcv_cached::server {

class CudaDevice::Current {
 public:
  explicit Current(CudaDevice& device) : driver_(device.driver_) {
    status_ = device.Check(driver_.CtxPushCurrent(device.context_), "cuCtxPushCurrent");
  }
  ~Current() {
    CUcontext popped;
    if (status_.ok()) driver_.CtxPopCurrent(&popped);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
  const absl::Status& status() const { return status_; }

 private:
  const CudaDriver& driver_;
  absl::Status status_;
};

absl::StatusOr<std::unique_ptr<CudaDevice>> CudaDevice::Open(const CudaDriver& driver,
                                                             const Gpu& gpu,
                                                             CudaDeviceOptions options) {
  std::unique_ptr<CudaDevice> device(new CudaDevice(driver, gpu, std::move(options)));
  if (absl::Status made = device->MakeContext(); !made.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no CUDA context on ", gpu.info.id, " (", gpu.info.name, "): ", made.message(),
                     "; do: look at nvidia-smi for its memory and errors"));
  }
  // Some systems make contexts and memory, but export none.
  constexpr uint64_t kTrial = 0;
  absl::StatusOr<SlabHandle> trial = device->AllocateSlab(kTrial, kGpuPageBytes);
  if (trial.ok()) {
    if (absl::Status freed = device->FreeSlab(kTrial); !freed.ok()) return freed;
  } else if (!absl::IsResourceExhausted(trial.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        "memory of ", gpu.info.id, " (", gpu.info.name,
        ") cannot be exported: ", trial.status().message(),
        "; CUDA IPC needs Linux and a driver that supports it (not WSL2, not every vGPU)"));
  }
  return device;
}

CudaDevice::~CudaDevice() {
  if (context_ == nullptr) return;
  if (driver_.CtxPushCurrent(context_) == CUDA_SUCCESS) {
    for (const auto& [slab, memory] : slabs_) driver_.MemFree(memory);
    if (stream_ != nullptr) driver_.StreamDestroy(stream_);
    CUcontext popped;
    driver_.CtxPopCurrent(&popped);
  }
  driver_.DevicePrimaryCtxRelease(gpu_.device);
}

absl::Status CudaDevice::Check(CUresult result, const char* what) {
  absl::Status status = driver_.Check(result, what);
  if (IsSticky(result) && options_.on_failure) options_.on_failure(status);
  return status;
}

absl::Status CudaDevice::MakeContext() {
  driver_.DevicePrimaryCtxSetFlags(gpu_.device, CU_CTX_SCHED_BLOCKING_SYNC);  // idle means idle
  if (absl::Status made = driver_.Check(driver_.DevicePrimaryCtxRetain(&context_, gpu_.device),
                                        "cuDevicePrimaryCtxRetain");
      !made.ok()) {
    context_ = nullptr;
    return made;
  }
  Current current(*this);
  if (!current.status().ok()) return current.status();
  // No kernel of ours needs them; each that cannot be lowered costs some memory and nothing else.
  for (const CUlimit limit :
       {CU_LIMIT_STACK_SIZE, CU_LIMIT_PRINTF_FIFO_SIZE, CU_LIMIT_MALLOC_HEAP_SIZE}) {
    driver_.CtxSetLimit(limit, 0);
  }
  return driver_.Check(driver_.StreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
}

absl::StatusOr<SlabHandle> CudaDevice::AllocateSlab(uint64_t slab, uint64_t size_bytes) {
  if (slabs_.contains(slab)) return absl::AlreadyExistsError(absl::StrCat("slab ", slab));
  if (size_bytes == 0 || size_bytes % kGpuPageBytes != 0 || size_bytes >> 62 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "slab of ", size_bytes, " bytes; sizes are multiples of ", kGpuPageBytes, ", from one up"));
  }
  Current current(*this);
  if (!current.status().ok()) return current.status();
  CUdeviceptr memory = 0;
  if (absl::Status made = Check(driver_.MemAlloc(&memory, size_bytes), "cuMemAlloc"); !made.ok()) {
    if (!absl::IsResourceExhausted(made)) return made;
    return absl::ResourceExhaustedError(
        absl::StrCat("slab of ", FormatSize(size_bytes), " on cuda:", gpu_.info.index, "; found ",
                     FormatSize(FreeBytes()), " left of ", FormatSize(gpu_.info.total_bytes),
                     " (memory of the GPU); ", made.message()));
  }
  absl::Status zeroed = Zero(memory, size_bytes);
  absl::StatusOr<std::string> exported =
      zeroed.ok() ? Export(memory, size_bytes) : absl::StatusOr<std::string>(zeroed);
  if (!exported.ok()) {
    driver_.MemFree(memory);
    return exported.status();
  }
  slabs_.emplace(slab, memory);
  SlabHandle handle;
  handle.cuda_ipc = *std::move(exported);
  return handle;
}

absl::Status CudaDevice::Zero(CUdeviceptr memory, uint64_t size_bytes) {
  if (absl::Status set =
          Check(driver_.MemsetD32Async(memory, 0, size_bytes / 4, stream_), "cuMemsetD32Async");
      !set.ok()) {
    return set;
  }
  return Check(driver_.StreamSynchronize(stream_), "cuStreamSynchronize");
}

absl::StatusOr<std::string> CudaDevice::Export(CUdeviceptr memory, uint64_t size_bytes) {
  // A handle stands for the whole allocation: it must be the slab and no byte more.
  CUdeviceptr base = 0;
  size_t length = 0;
  if (absl::Status known =
          Check(driver_.MemGetAddressRange(&base, &length, memory), "cuMemGetAddressRange");
      !known.ok()) {
    return known;
  }
  if (base != memory || length < size_bytes || memory % kGpuPageBytes != 0) {
    return absl::InternalError(absl::StrCat("the driver's allocation of ", size_bytes,
                                            " bytes has ", length, " and begins ", memory - base,
                                            " bytes before the slab"));
  }
  CUipcMemHandle handle{};
  if (absl::Status got = Check(driver_.IpcGetMemHandle(&handle, memory), "cuIpcGetMemHandle");
      !got.ok()) {
    return got;
  }
  return std::string(handle.reserved, sizeof(handle.reserved));
}

absl::Status CudaDevice::FreeSlab(uint64_t slab) {
  const auto found = slabs_.find(slab);
  if (found == slabs_.end()) return absl::NotFoundError(absl::StrCat("slab ", slab));
  Current current(*this);
  if (!current.status().ok()) return current.status();
  const CUdeviceptr memory = found->second;
  slabs_.erase(found);
  return Check(driver_.MemFree(memory), "cuMemFree");
}

uint64_t CudaDevice::FreeBytes() {
  Current current(*this);
  size_t free = 0;
  size_t total = 0;
  if (!current.status().ok() || !Check(driver_.MemGetInfo(&free, &total), "cuMemGetInfo").ok()) {
    return 0;
  }
  return free;
}

}  // namespace nvcv_cached::server
