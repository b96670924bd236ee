// The accept loop: both sockets, who is behind each connection, and what may not come in.
//
// A connection to the session socket is looked at (peer.h), entered into the registry and handed to
// gRPC. Our own copy of its descriptor tells when it is over, so that connections can be counted. A
// connection to the descriptor socket has a few seconds for its 16 bytes and is then a session's,
// or closed. Out of descriptors, a connection is taken with the one kept in reserve and closed: the
// loop never stops. Thread-safety: SetMaxSessions and Stop from any thread; the rest runs on the
// loop's thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "proto/descriptor_socket.h"
#include "proto/unique_fd.h"
#include "server/rpc/broker.h"
#include "server/rpc/event_loop.h"
#include "server/rpc/peer.h"
#include "server/rpc/server.h"
#include "server/rpc/sessions.h"

namespace nvcv_cached::server {

class Connections {
 public:
  // `serve` takes a connected, non-blocking descriptor for good. The listeners outlive Stop.
  Connections(Broker& broker, const RpcOptions& options, std::shared_ptr<Sessions> sessions,
              PeerRegistry& registry, std::function<void(int fd)> serve);
  ~Connections();

  void Listen(int session_listener, int descriptor_listener);
  void SetMaxSessions(uint32_t max_sessions) { max_sessions_ = max_sessions; }
  Pulse AcceptPulse() { return loop_.GetPulse(); }
  void Stop();

 private:
  struct Open {
    UniqueFd copy;
    std::shared_ptr<const Peer> peer;
    EventLoop::Id watch = 0;
  };
  struct Pending {
    UniqueFd socket;
    std::shared_ptr<const Peer> peer;
    std::array<char, kDescriptorTokenBytes> token;
    size_t got = 0;
    EventLoop::Id watch = 0, deadline = 0;
  };

  // Takes up to a few connections that wait.
  void Accept(int listener, void (Connections::*take)(UniqueFd, std::shared_ptr<Peer>));
  void RefuseOne(int listener);
  void RefuseForLack();
  void TakeSession(UniqueFd socket, std::shared_ptr<Peer> peer);
  void TakeDescriptor(UniqueFd socket, std::shared_ptr<Peer> peer);
  void OnOver(uint64_t number);
  void OnToken(uint64_t number);
  void Drop(uint64_t number);
  bool Full(uid_t uid) const;

  Broker& broker_;
  const RpcOptions options_;
  const std::shared_ptr<Sessions> sessions_;
  PeerRegistry& registry_;
  const std::function<void(int)> serve_;
  std::atomic<uint32_t> max_sessions_;
  UniqueFd reserve_;

  // Of the loop's thread alone.
  uint64_t last_number_ = 0;
  std::unordered_map<uint64_t, Open> open_;
  std::unordered_map<uint64_t, Pending> pending_;
  std::unordered_map<uid_t, uint32_t> counts_;

  EventLoop loop_;
};

}  // namespace nvcv_cached::server
