// The process's own Connections, one for each device: made at the first use, never destroyed
// (objects may outlive main()), left with a goodbye at exit. A forked child neither uses nor leaves
// them. Thread-safety: thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "client/src/connection.h"

namespace nvcv_cached::client {

// That of the calling thread's device.
absl::StatusOr<Connection*> ThreadConnection();

// Connects to the device that the options name, else to the calling thread's, which is the thread's
// device from here on. INVALID_ARGUMENT: that device is connected with other options.
absl::Status ConnectThread(const Options& options);

}  // namespace nvcv_cached::client
