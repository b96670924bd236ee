// What this process borrows through: the one place where the hot path meets the connections below
// it.
//
// A thread's device is the one that it named in connect(); else the one that the process named (the
// first connect(), NVCV_CACHED_DEVICE or NVCV_CACHED_ADDRESS) or the only one there is; else, in a
// process that sees several GPUs, that of the thread's current CUDA context at each object.
// Choosing does not connect. Thread-safety: thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "client/src/device_cache.h"

namespace nvcv_cached::client {

// For the calling thread. DEVICE_ERROR: the driver fails.
absl::StatusOr<ChosenDevice> ChooseDevice();

// A GPU in this process's numbering, whatever the thread's device is. Connects if only the daemon
// knows the thread's. DEVICE_ERROR: there is none.
absl::StatusOr<DeviceCache*> DeviceAt(int ordinal);

}  // namespace nvcv_cached::client
