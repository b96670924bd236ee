// Bytes of the device's memory written and read from the host: on the host device by memcpy, on a
// GPU on the thread's current stream, waited for. Handing out is the caller's.
//
// Errors: DEVICE_ERROR with the driver's words. Thread-safety: thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

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
absl::StatusOr<int> DeviceOf(const void* pointer);
absl::Status FillZero(void* device, size_t bytes, int ordinal);

}  // namespace nvcv_cached::client
