#include "client/src/link.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/errors.h"
#include "client/src/log.h"

namespace nvcv_cached::client {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kKeptForResume = 1024;

absl::Status RefusalStatus(const v1::Refusal& refusal) {
  absl::Status status =
      WithHint(absl::Status(static_cast<absl::StatusCode>(refusal.code()), refusal.message()),
               refusal.hint());
  if (refusal.reason() == v1::Refusal::QUOTA) status = ForceCode(status, ErrorCode::kQuotaExceeded);
  if (refusal.reason() == v1::Refusal::OUT_OF_MEMORY ||
      refusal.reason() == v1::Refusal::TABLE_FULL) {
    status = ForceCode(status, ErrorCode::kOutOfMemory);
  }
  return status;
}

// The request that a message answers, 0 for one that answers none.
uint64_t RequestOf(const v1::ServerMessage& message) {
  switch (message.message_case()) {
    case v1::ServerMessage::kGrant:
      return message.grant().request_id();
    case v1::ServerMessage::kRefusal:
      return message.refusal().request_id();
    case v1::ServerMessage::kLimit:
      return message.limit().request_id();
    case v1::ServerMessage::kCleared:
      return message.cleared().request_id();
    case v1::ServerMessage::kCounts:
      return message.counts().request_id();
    default:
      return 0;
  }
}

}  // namespace

Link::Link(Introduction introduction, std::function<void()> call_keeper)
    : introduction_(std::move(introduction)), call_keeper_(std::move(call_keeper)) {}

Link::~Link() {
  stream_.reset();
  if (session_ == nullptr || session_->ever_granted()) return;
  // The driver holds a GPU's table and cannot be made to let go of it at any moment.
  if (session_->cuda() == nullptr) {
    delete session_;
  } else {
    session_->Close();
  }
}

absl::Status Link::Send(v1::ClientMessage message, uint64_t request_id) {
  std::lock_guard sending(sending_);
  if (closed()) return absl::AbortedError("the session is closed");
  if (stream_usable_) {
    absl::Status status = stream_->Send(message, request_id);
    if (absl::IsResourceExhausted(status)) return status;
  }
  // Without a stream it waits here for the next one.
  if (sent_.size() == kKeptForResume) {
    sent_.pop_front();
    ++sent_before_;
  }
  sent_.push_back({request_id, std::move(message)});
  return absl::OkStatus();
}

absl::StatusOr<Link::Answer> Link::Call(v1::ClientMessage& message, uint64_t request_id,
                                        Deadline deadline) {
  Waiter waiter;
  {
    std::lock_guard lock(mutex_);
    if (closed()) return absl::AbortedError("the session is closed");
    waiters_.emplace(request_id, &waiter);
    turns_.Enter(waiter);
  }
  if (message.has_acquire()) {
    // One message instead of two: the second would wait for the first to be written.
    for (uint32_t slot : session_->TakeReturned()) {
      message.mutable_acquire()->mutable_returned()->add_slots(slot);
    }
  } else {
    FlushReturned();
  }
  absl::Status sent = Send(std::move(message), request_id);
  std::unique_lock lock(mutex_);
  absl::Status waited = absl::DeadlineExceededError("");
  if (sent.ok()) waited = turns_.Wait(waiter, lock, deadline);
  turns_.Leave(waiter);
  waiters_.erase(request_id);
  if (waiter.done && absl::IsCancelled(waited)) {
    lock.unlock();
    session_->GiveBack(waiter.answer.leases);
    call_keeper_();
    return waited;
  }
  if (waiter.done) {
    if (!waiter.status.ok()) return waiter.status;
    return std::move(waiter.answer);
  }
  lock.unlock();
  if (absl::IsAborted(sent)) return sent;
  v1::ClientMessage returned;
  {
    std::lock_guard sending(sending_);
    if (!stream_usable_ || !stream_->Withdraw(request_id)) return waited;
    for (auto it = sent_.rbegin(); it != sent_.rend(); ++it) {
      if (it->request_id != request_id) continue;
      *returned.mutable_return_leases() = it->message.acquire().returned();
      sent_.erase(std::next(it).base());
      break;
    }
  }
  // What would have travelled with it still goes.
  if (returned.return_leases().slots_size() > 0) (void)Send(std::move(returned), 0);
  return waited;
}

void Link::FlushReturned() {
  if (state_.load(std::memory_order_acquire) != State::kLive) return;
  std::vector<uint32_t> slots = session_->TakeReturned();
  if (slots.empty()) return;
  v1::ClientMessage message;
  for (uint32_t slot : slots) message.mutable_return_leases()->add_slots(slot);
  (void)Send(std::move(message), 0);  // lost with a closed session only, where it says nothing
}

void Link::SendUnmapped() {
  for (uint64_t slab : session_->TakeUnmapped()) {
    v1::ClientMessage message;
    message.mutable_unmapped()->set_slab(slab);
    (void)Send(std::move(message), 0);
  }
}

absl::Status Link::TellLimit(uint64_t limit_bytes) {
  v1::ClientMessage message;
  const uint64_t id = NewRequestId();
  message.mutable_set_limit()->set_request_id(id);
  message.mutable_set_limit()->set_limit_bytes(limit_bytes);
  return Send(std::move(message), id);
}

absl::Status Link::end_status() const {
  std::lock_guard lock(mutex_);
  return end_status_;
}

void Link::Deliver(uint64_t request_id, absl::Status status, Answer answer) {
  std::unique_lock lock(mutex_);
  auto found = waiters_.find(request_id);
  if (found == waiters_.end()) {
    lock.unlock();
    if (answer.leases.empty()) return;
    session_->GiveBack(answer.leases);
    call_keeper_();
    return;
  }
  Waiter& waiter = *found->second;
  waiters_.erase(found);
  waiter.status = std::move(status);
  waiter.answer = std::move(answer);
  turns_.Finish(waiter);
}

void Link::OnGrant(v1::ServerMessage& message) {
  const v1::Grant& grant = message.grant();
  misses_.all.fetch_add(1, std::memory_order_relaxed);
  if (grant.served() == v1::SERVED_BY_RECLAIM)
    misses_.reclaim.fetch_add(1, std::memory_order_relaxed);
  if (grant.served() == v1::SERVED_BY_GROWTH) misses_.grow.fetch_add(1, std::memory_order_relaxed);
  std::vector<Session::GrantedSlab> slabs;
  for (const v1::Slab& slab : grant.slabs()) {
    slabs.push_back({slab.slab(), slab.size_bytes(), slab.cuda_ipc().handle()});
  }
  std::vector<Session::GrantedLease> granted;
  for (const v1::Lease& lease : grant.leases()) {
    granted.push_back({.slot = lease.slot(),
                       .word = lease_table::Word(lease.word()),
                       .slab = lease.slab(),
                       .offset = lease.offset(),
                       .block_bytes = lease.block_bytes()});
  }
  absl::StatusOr<std::vector<Lease>> leases = session_->Adopt(slabs, granted);
  const uint64_t request_id = grant.request_id();
  if (!leases.ok()) {
    if (absl::IsDataLoss(leases.status())) {
      Log(LogLevel::kError,
          absl::StrCat("the daemon broke the protocol: ", leases.status().message()));
      std::lock_guard lock(mutex_);
      end_status_ = leases.status();
      state_.store(State::kBroken, std::memory_order_release);
    }
    call_keeper_();  // to close it, or to send back what could not be mapped
    Deliver(request_id, leases.status(), {});
    return;
  }
  Deliver(request_id, absl::OkStatus(), Answer{{}, *std::move(leases)});
}

void Link::OnMessage(v1::ServerMessage& message) {
  if (message.has_welcome()) {
    std::lock_guard lock(mutex_);
    if (!expecting_welcome_) return;
    expecting_welcome_ = false;
    greeting_ = std::move(*message.mutable_welcome());
    greeted_.notify_all();
    return;
  }
  received_.fetch_add(1);
  switch (message.message_case()) {
    case v1::ServerMessage::kGrant:
      if (session_ != nullptr) OnGrant(message);
      return;
    case v1::ServerMessage::kRefusal:
      misses_.all.fetch_add(1, std::memory_order_relaxed);
      misses_.refused.fetch_add(1, std::memory_order_relaxed);
      Deliver(message.refusal().request_id(), RefusalStatus(message.refusal()), {});
      return;
    case v1::ServerMessage::kRetire: {
      if (session_ == nullptr) return;
      session_->Retire(message.retire().slab());
      SendUnmapped();
      return;
    }
    case v1::ServerMessage::kDraining:
      Log(LogLevel::kInfo, absl::StrCat("the daemon at ", introduction_.path, " is draining"));
      return;
    default:
      if (uint64_t request_id = RequestOf(message); request_id != 0) {
        Deliver(request_id, absl::OkStatus(), Answer{std::move(message), {}});
      }
  }
}

void Link::OnEnd(const absl::Status& status) {
  {
    std::lock_guard lock(mutex_);
    stream_ended_ = true;
    expecting_welcome_ = false;
    if (!absl::IsDataLoss(end_status_)) end_status_ = status;
    State live = State::kLive;
    state_.compare_exchange_strong(live, State::kBroken);
    greeted_.notify_all();
  }
  call_keeper_();
}

void Link::Close() {
  std::unordered_map<uint64_t, Waiter*> waiting;
  {
    std::lock_guard sending(sending_);
    stream_usable_ = false;
    state_.store(State::kClosed, std::memory_order_release);
    sent_.clear();
  }
  stream_.reset();  // after it no answer is on its way
  session_->Close();
  std::lock_guard lock(mutex_);
  for (auto& [request_id, waiter] : waiters_) {
    waiter->status = absl::AbortedError("the session is closed");
    turns_.Finish(*waiter);
  }
  waiters_.clear();
}

void Link::Leave(std::chrono::milliseconds patience) {
  if (state_.load(std::memory_order_acquire) != State::kLive) return;
  const Deadline deadline = Clock::now() + patience;
  FlushReturned();
  v1::ClientMessage message;
  message.mutable_goodbye();
  (void)Send(std::move(message), 0);
  {
    std::lock_guard sending(sending_);
    stream_usable_ = false;
  }
  stream_->Flush(deadline);
  stream_->Cancel();
  while (!stream_->ended() && Clock::now() < deadline) ::usleep(200);
}

}  // namespace nvcv_cached::client
