// One session's conversation with its daemon: requests and their answers over a stream that may
// break and be resumed, and the Session whose table and slabs it fills.
//
//   live    a stream is open
//   broken  the stream ended, the daemon may still keep the session: Resume or Close
//   closed  the daemon or the session is gone; the Session is closed; final
//
// Every message counts: what either side missed when a stream broke is sent again after a resume,
// so a call that waits goes on waiting. Answers that nobody waits for any more go back at once
// (leases) or are dropped. Thread-safety: thread-safe; Resume, Close and the destructor run on one
// thread at a time, never inside the stream's OnMessage and OnEnd.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/session.h"
#include "client/src/stream.h"
#include "client/src/turns.h"
#include "nvcv_cached/v1/session.pb.h"

namespace nvcv_cached::client {

class Link final : public Stream::Listener {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  struct Introduction {
    std::string path;  // of the session socket
    std::string name;
    std::string device;  // "host" or a UUID; empty: whatever the daemon there has
    std::optional<uint64_t> session_limit_bytes;
    bool strict_streams = false;
  };

  // A new session. NOT_FOUND: nobody listens; UNAVAILABLE: the daemon says so (draining, full);
  // ABORTED: what listens is no daemon, or just died; FAILED_PRECONDITION, PERMISSION_DENIED,
  // DEADLINE_EXCEEDED. `call_keeper` is called when a stream
  // ends or leases came back, by the thread that runs the stream's events, and must not block.
  static absl::StatusOr<std::unique_ptr<Link>> Open(const Introduction& introduction,
                                                    Deadline deadline,
                                                    std::function<void()> call_keeper);
  ~Link() override;

  Session& session() const { return *session_; }
  const v1::Welcome& welcome() const { return welcome_; }
  pid_t daemon_pid() const { return daemon_pid_; }
  const std::string& socket_path() const { return introduction_.path; }

  struct Answer {
    v1::ServerMessage message;
    std::vector<Lease> leases;  // of a grant
  };
  // Sends `message`, whose request_id has been set to `request_id`, and waits for its answer.
  // ABORTED: the session was closed meanwhile; DEADLINE_EXCEEDED without a text of its own (the
  // caller knows what it asked).
  absl::StatusOr<Answer> Call(v1::ClientMessage& message, uint64_t request_id, Deadline deadline);
  uint64_t NewRequestId() { return next_request_id_.fetch_add(1, std::memory_order_relaxed); }

  void FlushReturned();
  void SendUnmapped();

  // Says the session's limit and waits for nothing: what is asked through this link from here on
  // finds it in force. Errors of sending; ABORTED: closed.
  absl::Status TellLimit(uint64_t limit_bytes);

  bool broken() const { return state_.load(std::memory_order_acquire) == State::kBroken; }
  bool closed() const { return state_.load(std::memory_order_acquire) == State::kClosed; }
  absl::Status end_status() const;  // of the last stream that ended

  // The answers to acquires, as the daemon counts them too; after it is gone nobody else knows.
  struct Misses {
    std::atomic<uint64_t> all{0}, reclaim{0}, grow{0}, refused{0};
  };
  const Misses& misses() const { return misses_; }

  // Takes the session up again. NOT_FOUND: the daemon no longer knows it, or there is none: Close.
  // UNAVAILABLE, ABORTED, DEADLINE_EXCEEDED: try again.
  absl::Status Resume(Deadline deadline);

  // Closes the session and fails what waits.
  void Close();

  // Says goodbye and ends the stream, in `patience` at most. The session is not closed: the process
  // ends.
  void Leave(std::chrono::milliseconds patience);

 private:
  enum class State { kOpening, kLive, kBroken, kClosed };
  struct Waiter : Turns::Caller {
    absl::Status status;
    Answer answer;
  };

  Link(Introduction introduction, std::function<void()> call_keeper);
  void OnMessage(v1::ServerMessage& message) override;
  void OnEnd(const absl::Status& status) override;
  void OnGrant(v1::ServerMessage& message);
  void Deliver(uint64_t request_id, absl::Status status, Answer answer);
  absl::StatusOr<v1::Welcome> Greet(const v1::Resume* resume, Deadline deadline);
  absl::Status Send(v1::ClientMessage message, uint64_t request_id);
  void SendUnlocked(const v1::ClientMessage& message, uint64_t request_id);

  const Introduction introduction_;
  const std::function<void()> call_keeper_;
  Session* session_ = nullptr;  // not deleted once leases name it
  v1::Welcome welcome_;
  std::atomic<pid_t> daemon_pid_{0};
  std::atomic<State> state_{State::kOpening};
  std::atomic<uint64_t> next_request_id_{1};
  std::atomic<uint64_t> received_{0};  // messages of this session, Welcomes not counted
  Misses misses_;

  mutable std::mutex mutex_;
  Turns turns_{mutex_};             // whose turn it is to run the stream's events
  std::unique_ptr<Stream> stream_;  // replaced by Resume alone, under sending_

  std::mutex sending_;
  struct Sent {
    uint64_t request_id;
    v1::ClientMessage message;
  };
  std::deque<Sent> sent_;     // the newest messages, sent or waiting, kept for a resume
  uint64_t sent_before_ = 0;  // messages before sent_.front()
  bool stream_usable_ = false;

  // Under mutex_.
  std::condition_variable greeted_;
  std::optional<v1::Welcome> greeting_;
  bool expecting_welcome_ = false;
  bool stream_ended_ = false;
  absl::Status end_status_;
  std::unordered_map<uint64_t, Waiter*> waiters_;
};

}  // namespace nvcv_cached::client
