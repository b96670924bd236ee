#include "client/src/contents.h"

#include <cstring>
#include <limits>
#include <string>
#include <vector>

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

// Rows that one call of the driver copies.
struct Pitched {
  const char* from;
  int64_t from_stride;
  char* to;
  int64_t to_stride;
  int64_t row_bytes;
  int64_t count;
};

// Calls `copy` with the last two dimensions at each index of the others, or row by row where a
// stride is no pitch. Stops at the first that is not OK.
template <class Copy>
absl::Status ForEachRows(const Arrays& arrays, Copy copy) {
  const size_t rank = arrays.shape.size();
  for (const int64_t extent : arrays.shape) {
    if (extent == 0) return absl::OkStatus();
  }
  const int64_t row_bytes = arrays.shape[rank - 1] * arrays.element_bytes;
  const auto is_pitch = [&](int64_t stride) {
    return stride >= row_bytes && stride <= std::numeric_limits<int32_t>::max();
  };
  const bool pitched =
      rank > 1 && is_pitch(arrays.from_strides[rank - 2]) && is_pitch(arrays.to_strides[rank - 2]);
  const size_t outer = pitched ? rank - 2 : rank - 1;
  std::vector<int64_t> index(outer, 0);
  for (;;) {
    Pitched rows{.from = static_cast<const char*>(arrays.from),
                 .from_stride = pitched ? arrays.from_strides[rank - 2] : row_bytes,
                 .to = static_cast<char*>(arrays.to),
                 .to_stride = pitched ? arrays.to_strides[rank - 2] : row_bytes,
                 .row_bytes = row_bytes,
                 .count = pitched ? arrays.shape[rank - 2] : 1};
    for (size_t dim = 0; dim < outer; ++dim) {
      rows.from += index[dim] * arrays.from_strides[dim];
      rows.to += index[dim] * arrays.to_strides[dim];
    }
    if (absl::Status status = copy(rows); !status.ok()) return status;
    size_t dim = outer;
    while (dim > 0 && ++index[dim - 1] == arrays.shape[dim - 1]) index[--dim] = 0;
    if (dim == 0) return absl::OkStatus();
  }
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

absl::Status CopyArray(const Arrays& arrays, int ordinal) {
  if (ordinal < 0) {
    return ForEachRows(arrays, [](const Pitched& rows) {
      for (int64_t row = 0; row < rows.count; ++row) {
        std::memcpy(rows.to + row * rows.to_stride, rows.from + row * rows.from_stride,
                    static_cast<size_t>(rows.row_bytes));
      }
      return absl::OkStatus();
    });
  }
  return OnCurrentStream(
      ordinal, "cuMemcpy2DAsync", [&](const CudaDriver& driver, CUstream stream) {
        CUresult result = CUDA_SUCCESS;
        (void)ForEachRows(arrays, [&](const Pitched& rows) {
          CUDA_MEMCPY2D copy{};
          copy.WidthInBytes = static_cast<size_t>(rows.row_bytes);
          copy.Height = static_cast<size_t>(rows.count);
          copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
          copy.srcDevice = Address(rows.from);
          copy.srcPitch = static_cast<size_t>(rows.from_stride);
          copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
          copy.dstDevice = Address(rows.to);
          copy.dstPitch = static_cast<size_t>(rows.to_stride);
          result = driver.Memcpy2DAsync(&copy, stream);
          return result == CUDA_SUCCESS ? absl::OkStatus() : absl::AbortedError("");
        });
        return result;
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
