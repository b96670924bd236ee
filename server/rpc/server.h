// The daemon's RPC side: listening sockets, session streams, descriptor socket, death watcher, and
// the gRPC services that ride on the same connections (Admin, health, reflection).
//
// Order of life: construct with a Broker, Start (listens; a client can connect when it returns OK),
// Drain (through Broker::Drain), Shutdown (stops accepting, ends the streams, waits a bounded time,
// removes the sockets). Precondition of Start: the caller holds the daemon's lock for
// `socket_path`; stale socket files are removed. Thread-safety: Start and Shutdown from one thread;
// the rest is internal.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/rpc/broker.h"
#include "server/rpc/listener.h"
#include "server/rpc/liveness.h"

namespace grpc {
class Service;
}

namespace nvcv_cached::server {

class PeerRegistry;

enum class DomainKind : uint8_t { kUid, kCgroup, kShared };

struct RpcOptions {
  std::string socket_path;  // the descriptor socket is this + ".fd"
  mode_t mode = 0600;       // of both sockets, exact whatever the umask
  std::optional<gid_t> group;
  DomainKind domain = DomainKind::kUid;
  uint32_t max_sessions = 2000;
  // 0: the daemon's own uid and root may have max_sessions, every other uid half of them.
  uint32_t max_sessions_per_uid = 0;
  std::chrono::milliseconds token_deadline{10'000};  // to connect to the descriptor socket
};

class RpcServer {
 public:
  RpcServer(Broker& broker, RpcOptions options);
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  // Who is behind a ServerContext's peer() (peer.h); lives as long as the server.
  const PeerRegistry& peers() const;

  // `services` (Admin) are served beside the session service and outlive the server. `sockets`:
  // those that the service manager made; else they are made here.
  absl::Status Start(const std::vector<grpc::Service*>& services,
                     std::optional<ListeningSockets> sockets = std::nullopt);

  // The answer of gRPC's health service; main calls it from Broker::OnStateChange.
  void SetServing(bool serving);

  void SetMaxSessions(uint32_t max_sessions);  // on reload

  // Of the threads that accept, watch and serve; after Start, not to be asked after Shutdown.
  std::vector<Pulse> Pulses();

  // Streams end with UNAVAILABLE; what does not end by then is cut off. Idempotent.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nvcv_cached::server
