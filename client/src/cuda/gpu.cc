#include "client/src/cuda/gpu.h"

#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/cuda/gpu_choice.h"
#include "client/src/errors.h"

namespace nvcv_cached::client {

absl::Status Gpu::Check(CUresult result, std::string_view what) const {
  if (result == CUDA_SUCCESS) return absl::OkStatus();
  absl::Status status = ForceCode(driver_.Check(result, what), ErrorCode::kDeviceError);
  if (IsSticky(result)) {
    status = WithHint(status,
                      "this process's CUDA context is broken: end the process and look at the "
                      "first error that CUDA reported");
  }
  return status;
}

absl::Status ResetStatus() {
  return WithHint(
      ForceCode(absl::FailedPreconditionError(
                    "this process reset its GPU (cudaDeviceReset): what it had borrowed is gone"),
                ErrorCode::kDeviceError),
      "restart the process, and do not reset a GPU whose memory is shared");
}

namespace {

// M2 rests on a process's kernels ending with it.
absl::Status MpsStatus(const std::string& uuid) {
  return WithHint(
      ForceCode(absl::FailedPreconditionError(absl::StrCat(
                    "memory of ", uuid,
                    " was asked for, and this process is under MPS, where a killed process's "
                    "kernels may go on: its memory could not be given to others")),
                ErrorCode::kDeviceError),
      "run it without MPS (another CUDA_MPS_PIPE_DIRECTORY, or echo quit | "
      "nvidia-cuda-mps-control)");
}

}  // namespace

struct Gpu::Opened {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Gpu>, std::less<>> by_uuid;

  static Opened& Process() {
    static auto* const opened = new Opened;
    return *opened;
  }
};

const Gpu* Gpu::Find(CUcontext context) {
  Opened& opened = Opened::Process();
  std::lock_guard lock(opened.mutex);
  for (const auto& [uuid, gpu] : opened.by_uuid) {
    if (gpu->context() == context) return gpu.get();
  }
  return nullptr;
}

const Gpu* Gpu::At(int ordinal) {
  Opened& opened = Opened::Process();
  std::lock_guard lock(opened.mutex);
  for (const auto& [uuid, gpu] : opened.by_uuid) {
    if (gpu->ordinal() == ordinal) return gpu.get();
  }
  return nullptr;
}

absl::StatusOr<const Gpu*> Gpu::Open(std::string_view uuid) {
  Opened& opened = Opened::Process();
  std::lock_guard lock(opened.mutex);
  if (auto found = opened.by_uuid.find(uuid); found != opened.by_uuid.end()) {
    if (!found->second->IsAlive()) return ResetStatus();
    return found->second.get();
  }
  absl::StatusOr<const CudaDriver*> driver = CudaDriver::Load();
  if (!driver.ok()) return ForceCode(driver.status(), ErrorCode::kDeviceError);
  absl::StatusOr<SeenGpu> seen = FindGpu(uuid);
  if (!seen.ok()) return seen.status();
  std::unique_ptr<Gpu> gpu(new Gpu(**driver, seen->ordinal, seen->device, seen->uuid));
  const CudaDriver& calls = **driver;
  int mps = 0;
  if (calls.DeviceGetAttribute(&mps, kMpsEnabled, gpu->device_) == CUDA_SUCCESS && mps != 0) {
    return MpsStatus(gpu->uuid_);
  }
  RelaxedCapture relaxed(*gpu);
  absl::Status status = gpu->Check(calls.DevicePrimaryCtxRetain(&gpu->context_, gpu->device_),
                                   "cuDevicePrimaryCtxRetain");
  if (!status.ok()) return status;
  status = gpu->Check(calls.CtxGetId(gpu->context_, &gpu->context_id_), "cuCtxGetId");
  if (!status.ok()) return status;
  return opened.by_uuid.emplace(std::string(uuid), std::move(gpu)).first->second.get();
}

}  // namespace nvcv_cached::client
