// A daemon of a GPU moves away from low pid numbers before it does anything else.
//
// CUDA IPC fails between two processes that have the same pid number in their own PID namespaces,
// and the numbers that containers share are low ones: pid 1 of one and pid 1 of the other above
// all. So a process with a low number leaves the daemon to a child with a higher one, and stays as
// its stand-in: it passes on signals and what the child has to say to the service manager (which
// listens to its own child only), takes in orphans if it is pid 1, and ends as the child ends.
// Thread-safety: before the process has a second thread.
#pragma once

#include <sys/types.h>

#include "absl/status/statusor.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::server {

inline constexpr pid_t kLowPids = 1000;  // below it a process moves

// Returns in the process that is to be the daemon: in this one if its number is high enough (the
// descriptor is then empty), else in the child, with the descriptor that takes its messages to the
// service manager. INTERNAL: no child could be made.
absl::StatusOr<UniqueFd> LeaveLowPids();

}  // namespace nvcv_cached::server
