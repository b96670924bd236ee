#include "client/src/contents.h"

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/src/cuda/gpu.h"
#include "client/src/cuda/thread_streams.h"
#include "client/src/errors.h"
#include "client/src/process_connection.h"
#include "client/src/wait_scope.h"

namespace nvcv_cached::client {
namespace {

absl::StatusOr<const Gpu*> LivingGpu(int ordinal) {
  const Gpu* gpu = Gpu::At(ordinal);
  if (gpu == nullptr) {  // wrapped memory, and nothing is borrowed of that GPU: the thread's does
    absl::StatusOr<Connection*> connection = ThreadConnection();
    if (!connection.ok()) return connection.status();
    absl::StatusOr<std::string> uuid = (*connection)->GpuUuid();
    if (!uuid.ok()) return uuid.status();
    absl::StatusOr<const Gpu*> opened = Gpu::Open(*uuid);
    if (!opened.ok()) return opened.status();
    gpu = *opened;
  }
  if (!gpu->IsAlive()) return ResetStatus();
  return gpu;
}

// `submit` puts work on a stream.
template <class Submit>
absl::Status OnCurrentStream(int ordinal, const char* what, Submit submit) {
  const absl::StatusOr<const Gpu*> gpu = LivingGpu(ordinal);
  if (!gpu.ok()) return gpu.status();
  const CUstream stream = ThreadStreams::Mine().current();
  WaitScope waiting;
  ContextScope scope(**gpu);
  absl::Status status = (*gpu)->Check(submit((*gpu)->driver(), stream), what);
  if (!status.ok()) return status;
  return (*gpu)->Check((*gpu)->driver().StreamSynchronize(stream), "cuStreamSynchronize");
}

CUdeviceptr Address(const void* pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

}  // namespace

absl::Status CopyRows(const Rows& rows, To to, int ordinal) {
  if (rows.row_bytes == 0 || rows.count == 0) return absl::OkStatus();
  if (ordinal < 0) {
    auto* device = static_cast<char*>(rows.device);
    auto* host = static_cast<char*>(rows.host);
    for (int64_t row = 0; row < rows.count; ++row) {
      const auto bytes = static_cast<size_t>(rows.row_bytes);
      if (to == To::kDevice) {
        std::memcpy(device, host, bytes);
      } else {
        std::memcpy(host, device, bytes);
      }
      device += rows.device_stride;
      host += rows.host_stride;
    }
    return absl::OkStatus();
  }
  CUDA_MEMCPY2D copy{};
  copy.WidthInBytes = static_cast<size_t>(rows.row_bytes);
  copy.Height = static_cast<size_t>(rows.count);
  if (to == To::kDevice) {
    copy.srcMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = rows.host;
    copy.srcPitch = static_cast<size_t>(rows.host_stride);
    copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.dstDevice = Address(rows.device);
    copy.dstPitch = static_cast<size_t>(rows.device_stride);
  } else {
    copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = Address(rows.device);
    copy.srcPitch = static_cast<size_t>(rows.device_stride);
    copy.dstMemoryType = CU_MEMORYTYPE_HOST;
    copy.dstHost = rows.host;
    copy.dstPitch = static_cast<size_t>(rows.host_stride);
  }
  return OnCurrentStream(ordinal, "cuMemcpy2DAsync",
                         [&](const CudaDriver& driver, CUstream stream) {
                           return driver.Memcpy2DAsync(&copy, stream);
                         });
}

absl::StatusOr<int> DeviceOf(const void* pointer) {
  const absl::StatusOr<const CudaDriver*> driver = CudaDriver::Load();
  if (!driver.ok()) return ForceCode(driver.status(), ErrorCode::kDeviceError);
  int ordinal = -1;
  const CUresult found = (*driver)->PointerGetAttribute(
      &ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, Address(pointer));
  if (found != CUDA_SUCCESS || ordinal < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "address 0x", absl::Hex(reinterpret_cast<uintptr_t>(pointer)),
        " is none that a GPU of this process knows; do: give memory that CUDA allocated"));
  }
  return ordinal;
}

absl::Status FillZero(void* device, size_t bytes, int ordinal) {
  if (bytes == 0) return absl::OkStatus();
  if (ordinal < 0) {
    std::memset(device, 0, bytes);
    return absl::OkStatus();
  }
  return OnCurrentStream(ordinal, "cuMemsetD8Async",
                         [&](const CudaDriver& driver, CUstream stream) {
                           return driver.MemsetD8Async(Address(device), 0, bytes, stream);
                         });
}

}  // namespace nvcv_cached::client
