// All sessions of the daemon: opening, resuming, the descriptor sockets, and the death watch.
//
// Death of a client is seen by two descriptors of each session, its process's pidfd and its
// descriptor socket; each is told to the books, which put them together (M2). A session that never
// fetched its table has nothing to prove and ends with its stream. One whose socket is at end of
// file and whose process lives on (exec) is treated as having said goodbye.
//
// Invariant: a session is counted from the moment it is opened until the books have closed it.
// mutex_ is never held while calling the broker or a session. Thread-safety: thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nvcv_cached/v1/session.pb.h"
#include "proto/unique_fd.h"
#include "server/rpc/broker.h"
#include "server/rpc/event_loop.h"
#include "server/rpc/peer.h"
#include "server/rpc/server.h"
#include "server/rpc/session.h"

namespace nvcv_cached::server {

class Sessions : public std::enable_shared_from_this<Sessions> {
 public:
  Sessions(Broker& broker, const RpcOptions& options);

  // Answers Hello: a session that is attached to `stream`, with its Welcome on the way, or the
  // status that ends the stream (session.proto lists them).
  absl::StatusOr<std::shared_ptr<Session>> Hello(const std::shared_ptr<const Peer>& peer,
                                                 const v1::Hello& hello, StreamPort* stream);

  // The stream of `session` is gone.
  void Detached(const std::shared_ptr<Session>& session, StreamPort* stream);

  // A descriptor connection has sent its token. PERMISSION_DENIED: no such token, not the same
  // process, used before, or too late.
  absl::Status Connect(const std::string& token, const Peer& peer, UniqueFd socket);

  void SetMaxSessions(uint32_t max_sessions) { max_sessions_ = max_sessions; }

  Pulse DeathWatchPulse() { return death_watch_.GetPulse(); }

  void EndStreams(const absl::Status& status);
  void Stop();  // of the death watch; sessions are let go

 private:
  struct Entry {
    std::shared_ptr<Session> session;
    std::string token;  // of the descriptor socket; empty once used
    EventLoop::Id process = 0, socket = 0, deadline = 0;
  };

  absl::StatusOr<std::shared_ptr<Session>> Open(const std::shared_ptr<const Peer>& peer,
                                                const v1::Hello& hello, StreamPort* stream);
  absl::StatusOr<std::shared_ptr<Session>> Resume(const Peer& peer, const v1::Resume& resume,
                                                  StreamPort* stream);
  absl::Status Reserve(uid_t uid);
  void Unreserve(uid_t uid);
  absl::Status Watch(const std::shared_ptr<Session>& session);
  void WatchSocket(const std::shared_ptr<Session>& session, uint32_t events);
  void OnProcessExited(const std::shared_ptr<Session>& session);
  void OnSocketEvent(const std::shared_ptr<Session>& session, uint32_t events);
  void OnTokenDeadline(const std::shared_ptr<Session>& session);
  void LetGoIfUnconnected(const std::shared_ptr<Session>& session);
  void Forget(SessionId id);
  // Stores a watch of a session, or removes it when the session is gone already.
  void Keep(SessionId id, EventLoop::Id Entry::*member, EventLoop::Id watch);

  Broker& broker_;
  const RpcOptions options_;
  std::atomic<uint32_t> max_sessions_;

  std::mutex mutex_;
  std::unordered_map<SessionId, Entry> sessions_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, SessionId> tokens_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<uid_t, uint32_t> counts_ ABSL_GUARDED_BY(mutex_);
  uint32_t count_ ABSL_GUARDED_BY(mutex_) = 0;

  EventLoop death_watch_;
};

}  // namespace nvcv_cached::server
