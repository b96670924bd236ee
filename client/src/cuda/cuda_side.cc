#include "client/src/cuda/cuda_side.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/src/cuda/cuda_fencer.h"
#include "client/src/cuda/flusher.h"
#include "client/src/cuda/gpu.h"
#include "client/src/cuda/timeline_pool.h"
#include "client/src/errors.h"
#include "client/src/fork_guard.h"
#include "proto/units.h"

namespace nvcv_cached::client {

struct CudaSide::Parts {
  Parts(const Gpu& of, lease_table::Table& table, CudaFencer::Strict strict)
      : gpu(of), pool(of, table.timelines), fencer(of, pool, strict), flusher(of, pool, table) {}

  const Gpu& gpu;
  TimelinePool pool;
  CudaFencer fencer;
  Flusher flusher;
};

namespace {

constexpr std::chrono::milliseconds kExitPatience{500};

// All of this process, to be stopped before CUDA's own exit handlers run: those were registered
// when the context was made, so a handler registered after it comes first.
struct Sides {
  std::mutex mutex;
  std::vector<CudaSide*> all;

  static Sides& Process() {
    static auto* const sides = [] {
      std::atexit([] {
        if (!IsForkedChild()) Process().Stop();
      });
      return new Sides;
    }();
    return *sides;
  }

  void Stop() {
    std::lock_guard lock(mutex);
    for (CudaSide* side : all) side->Stop(kExitPatience);
  }
};

}  // namespace

CudaSide::CudaSide(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {
  Sides& sides = Sides::Process();
  std::lock_guard lock(sides.mutex);
  sides.all.push_back(this);
}

CudaSide::~CudaSide() {
  Sides& sides = Sides::Process();
  std::lock_guard lock(sides.mutex);
  sides.all.erase(std::find(sides.all.begin(), sides.all.end(), this));
}

absl::StatusOr<std::unique_ptr<CudaSide>> CudaSide::Open(const std::string& uuid,
                                                         bool strict_streams,
                                                         lease_table::Table& table) {
  absl::StatusOr<const Gpu*> gpu = Gpu::Open(uuid);
  if (!gpu.ok()) return gpu.status();
  if (strict_streams && (*gpu)->driver().CtxRecordEvent == nullptr) {
    return WithHint(ForceCode(absl::FailedPreconditionError(absl::StrCat(
                                  "strict_streams was asked for; the driver is of version ",
                                  (*gpu)->driver().version, ", it needs 12050 (driver 555)")),
                              ErrorCode::kDeviceError),
                    "install a newer driver, or name the streams by record_stream");
  }
  const auto strict = strict_streams ? CudaFencer::Strict::kYes : CudaFencer::Strict::kNo;
  auto parts = std::make_unique<Parts>(**gpu, table, strict);
  if (absl::Status prepared = parts->pool.Prepare(); !prepared.ok()) return prepared;
  if (absl::Status started = parts->flusher.Start(); !started.ok()) return started;
  return std::unique_ptr<CudaSide>(new CudaSide(std::move(parts)));
}

Fencer& CudaSide::fencer() { return parts_->fencer; }

absl::StatusOr<void*> CudaSide::Map(const Handle& handle, size_t size_bytes) {
  CUipcMemHandle ipc{};
  if (handle.cuda_ipc.size() != sizeof(ipc)) {
    return absl::DataLossError(absl::StrCat("a CUDA IPC handle of ", handle.cuda_ipc.size(),
                                            " bytes; wanted ", sizeof(ipc)));
  }
  std::memcpy(&ipc, handle.cuda_ipc.data(), sizeof(ipc));
  const Gpu& gpu = parts_->gpu;
  if (!gpu.IsAlive()) return ResetStatus();
  RelaxedCapture relaxed(gpu);
  ContextScope scope(gpu);
  CUdeviceptr data = 0;
  const CUresult result =
      gpu.driver().IpcOpenMemHandle(&data, ipc, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
  if (result == CUDA_ERROR_INVALID_CONTEXT) {
    return WithHint(
        ForceCode(absl::InternalError(absl::StrCat(
                      gpu.Check(result, "cuIpcOpenMemHandle").message(),
                      "; it says so when both processes have the same pid number in their PID "
                      "namespaces (this one is pid ",
                      ::getpid(), ")")),
                  ErrorCode::kDeviceError),
        "restart this process, or use hostPID");
  }
  if (result != CUDA_SUCCESS) {
    return gpu.Check(result, absl::StrCat("cuIpcOpenMemHandle of ", FormatSize(size_bytes)));
  }
  return reinterpret_cast<void*>(data);
}

void CudaSide::Unmap(void* data, size_t, std::function<void()> unmapped) {
  parts_->flusher.CloseLater(reinterpret_cast<CUdeviceptr>(data), std::move(unmapped));
}

absl::Status CudaSide::Check() const {
  return parts_->gpu.IsAlive() ? absl::OkStatus() : ResetStatus();
}

void CudaSide::Stop(std::chrono::milliseconds patience) noexcept {
  parts_->fencer.Stop();
  parts_->flusher.Stop(patience);
}

}  // namespace nvcv_cached::client
