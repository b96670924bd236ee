// The Admin service of admin.proto on the daemon's own connections.
//
// Who calls is known from the connection's peer, never from the request. Answers are made on the
// service's own thread (admin_worker.h). Outlives the RpcServer that serves it. Thread-safety:
// thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/config/live_settings.h"
#include "server/log/event_ring.h"
#include "server/rpc/broker.h"
#include "server/rpc/peer.h"

namespace grpc {
class Service;
}

namespace nvcv_cached::server {

class AdminService {
 public:
  AdminService(Broker& broker, LiveSettings& settings, const PeerRegistry& peers, EventRing& events,
               std::string socket);
  ~AdminService();

  grpc::Service* service();

  // Writes the statistics of this moment into a file, whole or not at all: for who looks after the
  // daemon has left.
  absl::Status WriteStats(const std::string& path);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nvcv_cached::server
