// The two sockets that a service manager made before the daemon was there (LISTEN_FDS, without
// systemd's library): PATH for sessions and PATH.fd for descriptors.
//
// A manager's sockets keep their mode, owner and file; whoever connects while no daemon is there
// waits in their line. Not thread-safe: reads and clears the environment.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "server/rpc/listener.h"

namespace nvcv_cached::server {

// nullopt: none were passed to this process. INVALID_ARGUMENT: they are not such a pair.
absl::StatusOr<std::optional<ListeningSockets>> TakeActivatedSockets();

}  // namespace nvcv_cached::server
