// One Attach stream to a daemon, from a connected socket to its end.
//
// Messages are read by the caller whose turn it is, else by a thread of the stream's own (turns.h).
// Senders never wait: a message goes out at once on the sender's thread, or stands in a queue while
// an earlier one is being written (a stopped daemon makes the queue grow, up to a bound).
//
// The next message is asked for when somebody comes to run events, not when the last one was
// handled: gRPC tells the daemon at once how much more it may send, and after a request it says so
// in the same write. Invariant: one OnMessage runs at a time; OnEnd is called exactly once, after the
// last of them, on the stream's own thread. Thread-safety: thread-safe; the destructor must not run
// inside OnMessage or OnEnd.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/turns.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::v1 {
class ClientMessage;
class ServerMessage;
}  // namespace nvcv_cached::v1

namespace nvcv_cached::client {

class Stream {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnMessage(v1::ServerMessage& message) = 0;
    // `status` as the daemon ended the stream; UNAVAILABLE also for one that broke.
    virtual void OnEnd(const absl::Status& status) = 0;
  };

  // `socket` is connected; `listener` and `turns` outlive the stream. RESOURCE_EXHAUSTED: no thread
  // to read.
  static absl::StatusOr<std::unique_ptr<Stream>> Open(UniqueFd socket, Listener* listener,
                                                      Turns& turns);
  ~Stream();  // cancels, and waits for OnEnd
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // `request_id` other than 0 names the message for Withdraw. RESOURCE_EXHAUSTED: the daemon has
  // not read for so long that the queue is full; UNAVAILABLE: the stream is over.
  absl::Status Send(const v1::ClientMessage& message, uint64_t request_id = 0);

  // Forgets a message that is still in the queue. False: it was sent (or never queued).
  bool Withdraw(uint64_t request_id);

  // True when everything queued was handed to the kernel before `deadline`.
  bool Flush(std::chrono::steady_clock::time_point deadline);

  void Cancel();  // OnEnd follows soon

  bool ended() const;

 private:
  struct Call;  // gRPC's part
  explicit Stream(std::unique_ptr<Call> call);
  std::unique_ptr<Call> call_;
};

}  // namespace nvcv_cached::client
