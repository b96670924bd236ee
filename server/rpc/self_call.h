// A call of the daemon to itself, over a connection of its own as any client's.
//
// It proves two things at once: that gRPC's threads serve, and that a connection is known by the
// name under which its credentials were entered (all of them hang on it, and what a connection is
// called is gRPC's own affair). Thread-safety: thread-safe.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "server/rpc/peer.h"

namespace grpc {
class Server;
}

namespace nvcv_cached::server {

// done(OK) once the call was taken for the peer that was entered; DEADLINE_EXCEEDED: gRPC is
// silent; RESOURCE_EXHAUSTED, at once: no descriptor for the connection; else it was taken for
// another. `done` is called on a thread of gRPC's, perhaps when the server is gone.
void CallSelf(grpc::Server& server, std::shared_ptr<PeerRegistry> registry,
              std::function<void(absl::Status)> done);

}  // namespace nvcv_cached::server
