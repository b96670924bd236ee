#include "server/rpc/session_service.h"

#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nvcv_cached::server {
namespace {

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

class AttachStream final : public grpc::ServerBidiReactor<v1::ClientMessage, v1::ServerMessage>,
                           public StreamPort {
 public:
  AttachStream(grpc::CallbackServerContext& context, std::shared_ptr<Sessions> sessions,
               std::shared_ptr<const Peer> peer)
      : context_(context), sessions_(std::move(sessions)), peer_(std::move(peer)) {
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    const std::shared_ptr<Session> session = BoundTo();
    if (!ok) {
      if (session) sessions_->Detached(session, this);
      End(absl::InvalidArgumentError(
          "the stream ended without Goodbye, or with an unreadable message"));
      return;
    }
    if (session) {
      if (!session->Handle(this, message_)) return;
    } else if (absl::Status status = Begin(); !status.ok()) {
      End(status);
      return;
    }
    StartRead(&message_);
  }

  void OnWriteDone(bool ok) override {
    bool finish = false;
    std::shared_ptr<Session> session;
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      session = session_;
      if (end_ && !finished_) finish = finished_ = true;
    }
    if (finish) {
      Finish(ToGrpc(*end_));
    } else if (ok && session) {
      session->OnWritten(this);
    }
  }

  void OnDone() override {
    if (auto session = BoundTo()) sessions_->Detached(session, this);
    delete this;
  }

  // ---- StreamPort
  void Bind(std::shared_ptr<Session> session) override {
    std::lock_guard lock(mutex_);
    session_ = std::move(session);
  }

  void Write(const v1::ServerMessage& message) override {
    {
      std::lock_guard lock(mutex_);
      if (end_) return;
      writing_ = true;
    }
    StartWrite(&message);
  }

  void End(const absl::Status& status) override {
    {
      std::lock_guard lock(mutex_);
      if (end_) return;
      end_ = status;
      if (writing_) return;  // OnWriteDone finishes
      finished_ = true;
    }
    Finish(ToGrpc(status));
  }

  void Cut(const absl::Status& status) override {
    bool writing;
    {
      std::lock_guard lock(mutex_);
      writing = writing_;
    }
    End(status);
    if (writing)
      context_.TryCancel();  // the write that nobody reads fails, then OnWriteDone finishes
  }

 private:
  // The first message.
  absl::Status Begin() {
    if (!message_.has_hello()) return absl::InvalidArgumentError("the first message is not Hello");
    return sessions_->Hello(peer_, message_.hello(), this).status();
  }

  std::shared_ptr<Session> BoundTo() {
    std::lock_guard lock(mutex_);
    return session_;
  }

  grpc::CallbackServerContext& context_;
  const std::shared_ptr<Sessions> sessions_;
  const std::shared_ptr<const Peer> peer_;
  v1::ClientMessage message_;

  std::mutex mutex_;
  std::shared_ptr<Session> session_;
  bool writing_ = false;
  bool finished_ = false;
  std::optional<absl::Status> end_;
};

// A stream that ends before its first message.
class Refusal final : public grpc::ServerBidiReactor<v1::ClientMessage, v1::ServerMessage> {
 public:
  explicit Refusal(const absl::Status& status) { Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerBidiReactor<v1::ClientMessage, v1::ServerMessage>* SessionService::Attach(
    grpc::CallbackServerContext* context) {
  absl::StatusOr<std::shared_ptr<const Peer>> peer = peers_.Find(context->peer());
  if (!peer.ok()) return new Refusal(peer.status());
  return new AttachStream(*context, sessions_, *std::move(peer));
}

}  // namespace nvcv_cached::server
