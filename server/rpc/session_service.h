// The Session service: one reactor for each Attach stream. It reads, hands messages to the session
// in order, and writes what the session gives it, one at a time. Thread-safety: gRPC calls a
// reactor from its threads; each reactor keeps what it needs under its own mutex.
#pragma once

#include <memory>

#include "nvcv_cached/v1/session.grpc.pb.h"
#include "server/rpc/peer.h"
#include "server/rpc/sessions.h"

namespace nvcv_cached::server {

class SessionService final : public v1::Session::CallbackService {
 public:
  SessionService(std::shared_ptr<Sessions> sessions, const PeerRegistry& peers)
      : sessions_(std::move(sessions)), peers_(peers) {}

  grpc::ServerBidiReactor<v1::ClientMessage, v1::ServerMessage>* Attach(
      grpc::CallbackServerContext* context) override;

 private:
  const std::shared_ptr<Sessions> sessions_;
  const PeerRegistry& peers_;
};

}  // namespace nvcv_cached::server
