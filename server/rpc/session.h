// One client process at this daemon: its lease table, its descriptor socket, and the queue of
// messages to it.
//
// A session outlives its stream. Messages are numbered and kept until they are written and for
// kKept messages after that, so that a stream that broke can be resumed without loss. The queue is
// bounded: a client that does not read loses its session. Slabs' descriptors go out over the
// descriptor socket before the grant that names them; neither that socket nor the stream is written
// to under the lock of the books.
//
//   connected   the descriptor socket: none -> open -> closed, or none -> closed
//   over        killed, lost, or goodbye said: no message is taken any more, and it cannot be
//   resumed
//
// Invariant: one write is under way at most, and stream_ is a live stream or null. Locks: mutex_ is
// taken under the lock of the books and never held while calling the broker. Thread-safety:
// thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "nvcv_cached/v1/session.pb.h"
#include "proto/descriptor_socket.h"
#include "proto/unique_fd.h"
#include "server/rpc/broker.h"
#include "server/rpc/peer.h"
#include "server/rpc/table_memory.h"

namespace nvcv_cached::server {

class Session;

// What a session needs of the stream that it is attached to. None of it blocks or calls back at
// once.
class StreamPort {
 public:
  virtual ~StreamPort() = default;
  virtual void Bind(std::shared_ptr<Session> session) = 0;  // once, before the first write
  // `message` is not used after the call returns; OnWritten follows, once.
  virtual void Write(const v1::ServerMessage& message) = 0;
  virtual void End(const absl::Status& status) = 0;  // after the write that is under way
  virtual void Cut(const absl::Status& status) = 0;  // at once: the client does not read
};

class Session final : public SessionSink, public std::enable_shared_from_this<Session> {
 public:
  static constexpr size_t kKept = 128;
  static constexpr size_t kMaxWaitingMessages = 4096;
  static constexpr size_t kMaxWaitingBytes = 1 << 20;
  static constexpr size_t kMaxOutstanding = 1024;  // acquires that are not answered

  struct Parts {
    SessionId id = 0;
    std::shared_ptr<const Peer> peer;
    std::string name;  // as the client calls itself, printable
    UniqueFd process;  // the peer's pidfd, this session's own copy
    TableMemory table;
    TimePoint table_made;
    std::string resume_token;
    // Called once, without locks, when the books have closed the session.
    std::function<void(SessionId)> on_ended;
  };
  Session(Broker& broker, Parts parts);

  SessionId id() const { return id_; }
  const Peer& peer() const { return *peer_; }
  int process() const { return process_.get(); }
  const std::string& resume_token() const { return resume_token_; }
  uint32_t table_age_ms(TimePoint now) const;

  // ---- the stream. Attach replaces a stream that broke unnoticed. NOT_FOUND: cannot be resumed
  // (the text says why). `received` as in Hello.resume.
  absl::Status Attach(StreamPort* stream, v1::Welcome welcome, std::optional<uint64_t> received);
  void Detach(StreamPort* stream);  // `stream` is not used after it returns
  void OnWritten(StreamPort* stream);
  // A message of the client; false: the session is over, read no more.
  bool Handle(StreamPort* stream, const v1::ClientMessage& message);
  // A limit of the session's own, at Hello or later; one above the device's memory is said once.
  void NoteLimit(uint64_t limit_bytes);
  // Ends the stream, not the session.
  void EndStream(const absl::Status& status);
  // The session is over for what the client did (BrokeProtocol in the books).
  void Lose(const absl::Status& status);

  // ---- the descriptor socket
  // Sends the table. FAILED_PRECONDITION: not the first one, or the session is over.
  absl::Status Connect(UniqueFd socket);
  int socket() const;
  void CloseSocket();         // it is at end of file
  bool CloseIfUnconnected();  // true: from now on it cannot be connected

  // ---- SessionSink
  void OnGrant(const SendGrant& grant, Handles handles) override;
  void OnRefusal(const SendRefusal& refusal) override;
  void OnRetire(SlabId slab) override;
  void OnKill(const absl::Status& status) override;
  void OnEnded(EndCause cause) override;
  void OnDraining() override;
  bool attached() const override;
  void Pump() override;

 private:
  enum class SocketState : uint8_t { kNone, kOpen, kClosed };
  struct SlabFrame {
    Frame frame;
    std::shared_ptr<const SlabHandle> handle;
  };
  struct Outgoing {
    v1::ServerMessage message;
    std::vector<SlabFrame> frames;  // to be sent before it; empty once they are
    size_t bytes = 0;
  };

  void Enqueue(Outgoing outgoing) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Trim() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LogRefusals(const std::vector<SendRefusal>& refusals) const;
  absl::Status SendFrames(const std::vector<SlabFrame>& frames, int socket);

  absl::Status HandleAcquire(const v1::Acquire& acquire);
  absl::Status HandleReturn(const v1::Return& message);
  void HandleSetLimit(const v1::SetLimit& message);
  absl::Status HandleClear(const v1::ClearCache& message);
  absl::Status HandleQuery(const v1::Query& message);
  void HandleGoodbye();

  Broker& broker_;
  const SessionId id_;
  const std::shared_ptr<const Peer> peer_;
  const std::string name_;
  const UniqueFd process_;
  const TimePoint table_made_;
  const std::string resume_token_;
  const std::function<void(SessionId)> on_ended_;
  std::atomic<bool> limit_warned_{false};

  mutable std::mutex mutex_;
  TableMemory table_ ABSL_GUARDED_BY(mutex_);
  UniqueFd socket_ ABSL_GUARDED_BY(mutex_);  // stays open until the session is gone
  SocketState socket_state_ ABSL_GUARDED_BY(mutex_) = SocketState::kNone;
  StreamPort* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;  // a write on stream_ is under way
  bool framing_ ABSL_GUARDED_BY(mutex_) = false;  // a thread writes to socket_
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool told_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool tell_broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool unread_ ABSL_GUARDED_BY(mutex_) = false;  // lost because the client does not read
  std::optional<absl::Status> end_status_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::ServerMessage> welcome_ ABSL_GUARDED_BY(mutex_);

  // queue_[0, sent_) has been written and is kept; queue_[0] is message number first_ of the
  // session.
  std::deque<Outgoing> queue_ ABSL_GUARDED_BY(mutex_);
  size_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t first_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t received_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<uint64_t> outstanding_ ABSL_GUARDED_BY(mutex_);
  std::vector<SendRefusal> unlogged_ ABSL_GUARDED_BY(mutex_);  // made under the lock of the books
};

}  // namespace nvcv_cached::server
