// Bytes of the device's memory written, copied, and read from the host: on the host device by
// memcpy, on a GPU on the thread's current stream, waited for. Handing out is the caller's.
//
// Errors: DEVICE_ERROR with the driver's words. Thread-safety: thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nvcv_cached::client {

enum class To { kDevice, kHost };

struct Rows {
  void* device;
  int64_t device_stride;
  void* host;
  int64_t host_stride;
  int64_t row_bytes;
  int64_t count;
};

// `ordinal` is the GPU's in this process, -1 for the host device.
absl::Status CopyRows(const Rows& rows, To to, int ordinal);

// Two arrays of one shape on one device; the last dimension is dense in both.
struct Arrays {
  std::span<const int64_t> shape;
  int64_t element_bytes;
  const void* from;
  std::span<const int64_t> from_strides;  // in bytes, as long as the shape
  void* to;
  std::span<const int64_t> to_strides;
};
absl::Status CopyArray(const Arrays& arrays, int ordinal);

absl::StatusOr<int> DeviceOf(const void* pointer);
absl::Status FillZero(void* device, size_t bytes, int ordinal);

}  // namespace nvcv_cached::client
