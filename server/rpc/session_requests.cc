// What a session does with each message of its client.
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "proto/lease_table.h"
#include "proto/units.h"
#include "server/log/log_sink.h"
#include "server/log/logfmt.h"
#include "server/rpc/messages.h"
#include "server/rpc/session.h"

namespace nvcv_cached::server {

bool Session::Handle(StreamPort* stream, const v1::ClientMessage& message) {
  {
    std::lock_guard lock(mutex_);
    if (over_ || ended_ || stream_ != stream) return false;
    ++received_;
  }
  absl::Status status;
  switch (message.message_case()) {
    case v1::ClientMessage::kAcquire:
      status = HandleAcquire(message.acquire());
      break;
    case v1::ClientMessage::kReturnLeases:
      status = HandleReturn(message.return_leases());
      break;
    case v1::ClientMessage::kUnmapped:
      status = broker_.Unmapped(id_, message.unmapped().slab());
      break;
    case v1::ClientMessage::kSetLimit:
      HandleSetLimit(message.set_limit());
      break;
    case v1::ClientMessage::kClear:
      status = HandleClear(message.clear());
      break;
    case v1::ClientMessage::kQuery:
      status = HandleQuery(message.query());
      break;
    case v1::ClientMessage::kGoodbye:
      HandleGoodbye();
      return false;
    case v1::ClientMessage::kHello:
      status = absl::InvalidArgumentError("a second Hello on one stream");
      break;
    case v1::ClientMessage::MESSAGE_NOT_SET:
      status = absl::InvalidArgumentError("a message without content, or of a later protocol");
      break;
  }
  if (status.ok()) return true;
  Lose(status);
  return false;
}

absl::Status Session::HandleAcquire(const v1::Acquire& acquire) {
  const TimePoint received = broker_.clock().Now();
  absl::StatusOr<AcquireRequest> request = ParseAcquire(acquire);
  if (!request.ok()) return request.status();
  request->received = received;
  if (acquire.has_returned()) {
    if (absl::Status status = HandleReturn(acquire.returned()); !status.ok()) return status;
  }
  {
    std::lock_guard lock(mutex_);
    if (socket_state_ == SocketState::kNone) {
      return absl::InvalidArgumentError(
          "Acquire before the lease table was fetched; do: connect to the descriptor socket first");
    }
    if (outstanding_.size() >= kMaxOutstanding) {
      return absl::ResourceExhaustedError(absl::StrCat(
          outstanding_.size(), " acquires are not answered yet; do: wait for answers"));
    }
    if (!outstanding_.insert(acquire.request_id()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("request_id ", acquire.request_id(), " is used twice"));
    }
  }
  return broker_.With([&](Books& books) { return books.Acquire(id_, *std::move(request)); });
}

absl::Status Session::HandleReturn(const v1::Return& message) {
  if (message.slots_size() > static_cast<int>(lease_table::kSlots)) {
    return absl::InvalidArgumentError(absl::StrCat("Return of ", message.slots_size(),
                                                   " slots, the table has ", lease_table::kSlots));
  }
  const std::vector<uint32_t> slots(message.slots().begin(), message.slots().end());
  return broker_.With([&](Books& books) { return books.Returned(id_, slots); });
}

void Session::NoteLimit(uint64_t limit_bytes) {
  const uint64_t total = broker_.device_info().total_bytes;
  if (limit_bytes <= total || limit_warned_.exchange(true)) return;
  LogWarning(Event("session-limit")
                 .With("id", id_)
                 .With("pid", peer_->pid)
                 .With("limit", FormatSize(limit_bytes))
                 .With("device", FormatSize(total))
                 .With("warning", "above the memory of the device"));
}

// Answers are put into the queue under the lock of the books, so that they stand in the order of
// the changes.
void Session::HandleSetLimit(const v1::SetLimit& message) {
  broker_.With([&](Books& books) {
    const Evicted evicted = books.SetSessionLimit(id_, message.limit_bytes());
    Outgoing outgoing;
    v1::LimitReply& reply = *outgoing.message.mutable_limit();
    reply.set_request_id(message.request_id());
    reply.set_session_limit_bytes(message.limit_bytes());
    reply.set_daemon_limit_bytes(books.settings().limit_bytes);
    reply.set_evicted_items(evicted.items);
    reply.set_evicted_bytes(evicted.bytes);
    std::lock_guard lock(mutex_);
    Enqueue(std::move(outgoing));
  });
  Pump();
  NoteLimit(message.limit_bytes());
}

absl::Status Session::HandleClear(const v1::ClearCache& message) {
  absl::StatusOr<ClearScope> scope = ParseScope(id_, message.scope(), message.thread_tag());
  if (!scope.ok()) return scope.status();
  if (scope->session == 0) {
    return absl::InvalidArgumentError("ClearCache of the daemon; do: nvcv-cachectl clear");
  }
  broker_.With([&](Books& books) {
    const Evicted evicted = books.Clear(*scope);
    Outgoing outgoing;
    v1::ClearReply& reply = *outgoing.message.mutable_cleared();
    reply.set_request_id(message.request_id());
    reply.set_items(evicted.items + evicted.detached_items);
    reply.set_bytes(evicted.bytes + evicted.detached_bytes);
    std::lock_guard lock(mutex_);
    Enqueue(std::move(outgoing));
  });
  Pump();
  return absl::OkStatus();
}

absl::Status Session::HandleQuery(const v1::Query& message) {
  absl::StatusOr<ClearScope> scope = ParseScope(id_, message.scope(), message.thread_tag());
  if (!scope.ok()) return scope.status();
  broker_.With([&](Books& books) {
    Outgoing outgoing;
    outgoing.message = CountsMessage(message.request_id(), books.GetScope(*scope));
    std::lock_guard lock(mutex_);
    Enqueue(std::move(outgoing));
  });
  Pump();
  return absl::OkStatus();
}

void Session::HandleGoodbye() {
  broker_.With([this](Books& books) {
    books.SaidGoodbye(id_);
    std::lock_guard lock(mutex_);
    if (!over_) EndLocked(absl::OkStatus());
  });
  Pump();
}

}  // namespace nvcv_cached::server
