// One Attach stream to a daemon, from a connected socket to its end.
//
// One thread of its own reads; senders never wait: a message goes out at once on the sender's
// thread, or stands in a queue while an earlier one is being written (a stopped daemon makes the
// queue grow, up to a bound). Invariant: OnEnd is called exactly once, after the last OnMessage,
// both on the reading thread. Thread-safety: thread-safe; the destructor must not run on the
// reading thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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

  // `socket` is connected; `listener` outlives the stream. RESOURCE_EXHAUSTED: no thread to read.
  static absl::StatusOr<std::unique_ptr<Stream>> Open(UniqueFd socket, Listener* listener);
  ~Stream();  // cancels, and waits for the reading thread
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
