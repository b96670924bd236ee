// Which domain a peer belongs to: who may share slabs (M4). Pure but for /proc.
#pragma once

#include "absl/status/statusor.h"
#include "server/core/types.h"
#include "server/rpc/peer.h"
#include "server/rpc/server.h"

namespace nvcv_cached::server {

// "uid:1000", "shared", or "cgroup:/path" of the peer's control group. UNAVAILABLE: the peer is
// gone; PERMISSION_DENIED: its group cannot be read (pid 0, no /proc).
absl::StatusOr<Domain> DomainOf(const Peer& peer, DomainKind kind);

}  // namespace nvcv_cached::server
