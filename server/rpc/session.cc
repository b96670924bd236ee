#include "server/rpc/session.h"

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/log/log_sink.h"
#include "server/log/logfmt.h"
#include "server/rpc/messages.h"

namespace nvcv_cached::server {

namespace {
constexpr int kUnreadFrameBytes = 48 * 1024;
}  // namespace

Session::Session(Broker& broker, Parts parts)
    : broker_(broker),
      id_(parts.id),
      peer_(std::move(parts.peer)),
      name_(std::move(parts.name)),
      process_(std::move(parts.process)),
      table_made_(parts.table_made),
      resume_token_(std::move(parts.resume_token)),
      on_ended_(std::move(parts.on_ended)),
      table_(std::move(parts.table)) {
  table_.SetSession(id_);
}

uint32_t Session::table_age_ms(TimePoint now) const {
  return static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now - table_made_).count());
}

// ---- the stream

absl::Status Session::Attach(StreamPort* stream, v1::Welcome welcome,
                             std::optional<uint64_t> received) {
  {
    std::lock_guard lock(mutex_);
    if (over_ || ended_ || socket_state_ == SocketState::kClosed) {
      return absl::NotFoundError(absl::StrCat("session ", id_, " is over; do: begin a new one"));
    }
    if (received) {
      if (*received < first_ || *received > first_ + sent_) {
        return absl::NotFoundError(
            absl::StrCat("session ", id_, ": ", *received, " messages received, messages ", first_,
                         " to ", first_ + sent_, " are kept; do: begin a new session"));
      }
      for (size_t i = *received - first_; i < sent_; ++i) waiting_bytes_ += queue_[i].bytes;
      sent_ = *received - first_;
    }
    if (stream_ != nullptr) stream_->Cut(absl::AbortedError("the session was resumed elsewhere"));
    stream_ = stream;
    stream_->Bind(shared_from_this());
    writing_ = false;
    welcome.set_received(received_);
    welcome_.emplace();
    *welcome_->mutable_welcome() = std::move(welcome);
  }
  Pump();
  return absl::OkStatus();
}

void Session::Detach(StreamPort* stream) {
  std::lock_guard lock(mutex_);
  if (stream_ != stream) return;
  stream_ = nullptr;
  writing_ = false;
}

void Session::OnWritten(StreamPort* stream) {
  {
    std::lock_guard lock(mutex_);
    if (stream_ != stream) return;
    writing_ = false;
    Trim();
  }
  Pump();
}

void Session::Trim() {
  while (sent_ > kKept) {
    queue_.pop_front();
    ++first_;
    --sent_;
  }
}

bool Session::attached() const {
  std::lock_guard lock(mutex_);
  return stream_ != nullptr;
}

void Session::EndStream(const absl::Status& status) {
  {
    std::lock_guard lock(mutex_);
    if (stream_ == nullptr) return;
    end_status_ = status;
  }
  Pump();
}

// What waits is dropped: nothing is owed to a session that is over.
void Session::EndLocked(const absl::Status& status) {
  over_ = true;
  end_status_ = status;
  welcome_.reset();
  queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(sent_), queue_.end());
  waiting_bytes_ = 0;
}

void Session::Lose(const absl::Status& status) {
  {
    std::lock_guard lock(mutex_);
    if (over_ || ended_) return;
    EndLocked(status);
    tell_broken_ = true;
  }
  Pump();
}

// ---- the descriptor socket

absl::Status Session::Connect(UniqueFd socket) {
  std::lock_guard lock(mutex_);
  if (socket_state_ != SocketState::kNone || over_ || ended_) {
    return absl::FailedPreconditionError("the session has or had its descriptor socket");
  }
  // Descriptors that a client leaves unread count against the daemon's own limit: a hundred or so
  // are room enough.
  const int room = kUnreadFrameBytes;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
  const Frame frame{.kind = FrameKind::kLeaseTable, .size_bytes = lease_table::kTableBytes};
  if (absl::Status status = SendFrame(socket.get(), frame, table_.fd()); !status.ok())
    return status;
  table_.CloseFd();
  socket_ = std::move(socket);
  socket_state_ = SocketState::kOpen;
  return absl::OkStatus();
}

int Session::socket() const {
  std::lock_guard lock(mutex_);
  return socket_.get();
}

void Session::CloseSocket() {
  std::lock_guard lock(mutex_);
  socket_state_ = SocketState::kClosed;
}

bool Session::CloseIfUnconnected() {
  std::lock_guard lock(mutex_);
  if (socket_state_ != SocketState::kNone) return false;
  socket_state_ = SocketState::kClosed;
  return true;
}

absl::Status Session::SendFrames(const std::vector<SlabFrame>& frames, int socket) {
  for (const SlabFrame& entry : frames) {
    absl::Status status = SendFrame(socket, entry.frame, entry.handle->memfd.get());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// ---- SessionSink

void Session::Enqueue(Outgoing outgoing) {
  if (over_ || ended_) return;
  outgoing.bytes = outgoing.message.ByteSizeLong();
  waiting_bytes_ += outgoing.bytes;
  queue_.push_back(std::move(outgoing));
  const size_t waiting = queue_.size() - sent_;
  if (waiting <= kMaxWaitingMessages && waiting_bytes_ <= kMaxWaitingBytes) return;
  EndLocked(absl::ResourceExhaustedError(absl::StrCat(
      "the client does not read its stream: ", waiting, " messages wait; do: read it")));
  unread_ = true;
  tell_broken_ = true;
}

void Session::OnGrant(const SendGrant& grant, Handles handles) {
  Outgoing outgoing;
  outgoing.message = GrantMessage(grant, handles);
  for (size_t i = 0; i < grant.new_slabs.size(); ++i) {
    if (!handles[i] || !handles[i]->memfd) continue;
    const Frame frame{.kind = FrameKind::kSlab,
                      .slab = grant.new_slabs[i].id,
                      .size_bytes = grant.new_slabs[i].size_bytes};
    outgoing.frames.push_back({frame, std::move(handles[i])});
  }
  std::lock_guard lock(mutex_);
  outstanding_.erase(grant.request);
  Enqueue(std::move(outgoing));
}

void Session::OnRefusal(const SendRefusal& refusal) {
  Outgoing outgoing;
  outgoing.message = RefusalMessage(refusal);
  std::lock_guard lock(mutex_);
  outstanding_.erase(refusal.request);
  unlogged_.push_back(refusal);
  Enqueue(std::move(outgoing));
}

void Session::OnRetire(SlabId slab) {
  Outgoing outgoing;
  outgoing.message.mutable_retire()->set_slab(slab);
  std::lock_guard lock(mutex_);
  Enqueue(std::move(outgoing));
}

void Session::OnDraining() {
  Outgoing outgoing;
  outgoing.message.mutable_draining();
  std::lock_guard lock(mutex_);
  Enqueue(std::move(outgoing));
}

void Session::OnKill(const absl::Status& status) {
  std::lock_guard lock(mutex_);
  if (!over_) EndLocked(status);
}

void Session::OnEnded(EndCause) {
  std::lock_guard lock(mutex_);
  ended_ = true;
  if (!end_status_) EndLocked(absl::UnavailableError("the session has ended"));
}

// What the client is told, for whoever looks at the machine and not at the client.
void Session::LogRefusals(const std::vector<SendRefusal>& refusals) const {
  for (const SendRefusal& refusal : refusals) {
    LogWarning(Event("refused")
                   .With("session", id_)
                   .With("pid", peer_->pid)
                   .With("name", name_)
                   .With("code", RefusalName(refusal.reason))
                   .With("error", std::string(refusal.status.message()))
                   .With("hint", refusal.hint));
  }
}

void Session::Pump() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (!unlogged_.empty()) {
      const std::vector<SendRefusal> refusals = std::exchange(unlogged_, {});
      lock.unlock();
      LogRefusals(refusals);
      lock.lock();
    } else if (ended_ && !told_ended_) {
      told_ended_ = true;
      lock.unlock();
      on_ended_(id_);
      lock.lock();
    } else if (tell_broken_) {
      tell_broken_ = false;
      lock.unlock();
      broker_.With([this](Books& books) { books.BrokeProtocol(id_); });
      lock.lock();
    } else if (stream_ == nullptr || framing_) {
      return;
    } else if (end_status_ && (over_ || sent_ == queue_.size()) && !welcome_) {
      StreamPort* stream = std::exchange(stream_, nullptr);
      writing_ = false;
      const absl::Status status = *std::exchange(end_status_, std::nullopt);
      if (unread_) {
        stream->Cut(status);
      } else {
        stream->End(status);
      }
      return;
    } else if (writing_) {
      return;
    } else if (welcome_) {
      writing_ = true;
      stream_->Write(*welcome_);
      welcome_.reset();
      return;
    } else if (sent_ == queue_.size()) {
      return;
    } else if (!queue_[sent_].frames.empty()) {
      const std::vector<SlabFrame> frames = std::exchange(queue_[sent_].frames, {});
      const int socket = socket_.get();
      framing_ = true;
      lock.unlock();
      const absl::Status status = SendFrames(frames, socket);
      lock.lock();
      framing_ = false;
      if (!status.ok() && !over_) {
        EndLocked(status);
        tell_broken_ = absl::IsResourceExhausted(status);
      }
    } else {
      writing_ = true;
      waiting_bytes_ -= queue_[sent_].bytes;
      stream_->Write(queue_[sent_].message);
      ++sent_;
      return;
    }
  }
}

}  // namespace nvcv_cached::server
