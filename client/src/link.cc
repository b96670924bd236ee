#include "client/src/link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/src/daemon_socket.h"
#include "client/src/errors.h"
#include "client/src/log.h"
#include "client/src/wait.h"
#include "proto/descriptor_socket.h"
#include "proto/socket_paths.h"
#include "proto/version.h"

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

absl::StatusOr<UniqueFd> ConnectForDescriptors(const std::string& path, const std::string& token,
                                               Clock::time_point deadline) {
  const std::string descriptor_path =
      absl::StrCat(path, absl::string_view(kDescriptorSuffix.data(), kDescriptorSuffix.size()));
  absl::StatusOr<Connected> connected = ConnectTo(descriptor_path, deadline);
  if (!connected.ok()) {
    return absl::UnavailableError(
        absl::StrCat("descriptor socket ", descriptor_path, ": ", connected.status().message()));
  }
  ssize_t sent = ::send(connected->socket.get(), token.data(), token.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(token.size())) {
    return absl::UnavailableError(
        absl::StrCat("descriptor socket ", descriptor_path, ": ", std::strerror(errno)));
  }
  return std::move(connected->socket);
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

// Why a first greeting failed, in words that name the socket.
absl::Status ExplainGreeting(const absl::Status& status, const std::string& path, pid_t pid) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kCancelled:
      return status;
    case absl::StatusCode::kDeadlineExceeded:
      return WithHint(absl::DeadlineExceededError(absl::StrCat(
                          "hello at ", path, ": no answer in time from ", DescribeProcess(pid))),
                      "check that process, or raise NVCV_CACHED_TIMEOUT");
    case absl::StatusCode::kResourceExhausted:
      return absl::UnavailableError(
          absl::StrCat("the daemon at ", path, " takes no more sessions: ", status.message()));
    case absl::StatusCode::kUnavailable:
      // gRPC's word for a broken socket as well; only the daemon speaks of draining.
      if (absl::StrContains(status.message(), "drain")) {
        return absl::UnavailableError(absl::StrCat("the daemon at ", path, ", ",
                                                   DescribeProcess(pid), ": ", status.message()));
      }
      return WithHint(absl::AbortedError(absl::StrCat(
                          "what listens at ", path, ", ", DescribeProcess(pid),
                          ", ended the connection before it spoke: ", status.message())),
                      "see that it is an nvcv-cached, and what its log says");
    default:
      return WithHint(
          absl::UnavailableError(absl::StrCat("what listens at ", path, ", ", DescribeProcess(pid),
                                              ", is no nvcv-cached: ", status.message())),
          "name the socket of an nvcv-cached in NVCV_CACHED_ADDRESS");
  }
}

}  // namespace

Link::Link(Introduction introduction, std::function<void()> call_keeper)
    : introduction_(std::move(introduction)), call_keeper_(std::move(call_keeper)) {}

Link::~Link() { stream_.reset(); }

absl::StatusOr<std::unique_ptr<Link>> Link::Open(const Introduction& introduction,
                                                 Deadline deadline,
                                                 std::function<void()> call_keeper) {
  std::unique_ptr<Link> link(new Link(introduction, std::move(call_keeper)));
  absl::StatusOr<v1::Welcome> welcome = link->Greet(nullptr, deadline);
  if (!welcome.ok()) return welcome.status();
  link->welcome_ = *std::move(welcome);

  absl::StatusOr<UniqueFd> descriptors =
      ConnectForDescriptors(introduction.path, link->welcome_.descriptor_token(), deadline);
  if (!descriptors.ok()) return descriptors.status();
  SessionInfo info{.id = link->welcome_.session_id(),
                   .epoch = link->welcome_.epoch(),
                   .resume_token = link->welcome_.resume_token(),
                   .table_age_ms = link->welcome_.table_age_ms()};
  absl::StatusOr<Session*> session = Session::Open(info, *std::move(descriptors), deadline);
  if (!session.ok()) return session.status();
  link->session_ = *session;

  std::lock_guard sending(link->sending_);
  std::lock_guard lock(link->mutex_);
  if (link->stream_ended_) return link->end_status_;
  link->stream_usable_ = true;
  link->state_.store(State::kLive, std::memory_order_release);
  return link;
}

absl::StatusOr<v1::Welcome> Link::Greet(const v1::Resume* resume, Deadline deadline) {
  absl::StatusOr<Connected> connected = ConnectTo(introduction_.path, deadline);
  if (!connected.ok()) return connected.status();
  {
    std::lock_guard lock(mutex_);
    greeting_.reset();
    expecting_welcome_ = true;
    stream_ended_ = false;
    daemon_pid_ = connected->pid;
  }
  const pid_t pid = connected->pid;
  auto stream = std::make_unique<Stream>(std::move(connected->socket), this);
  v1::ClientMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol_min(kProtocolMin);
  hello.set_protocol_max(kProtocolMax);
  hello.set_library_version(kVersion);
  hello.set_name(introduction_.name);
  if (introduction_.session_limit_bytes) {
    hello.set_session_limit_bytes(*introduction_.session_limit_bytes);
  }
  if (resume != nullptr) *hello.mutable_resume() = *resume;
  absl::Status status = stream->Send(message);
  {
    std::unique_lock lock(mutex_);
    absl::Status waited =
        WaitUntil(greeted_, lock, deadline, [&] { return greeting_.has_value() || stream_ended_; });
    if (status.ok()) status = waited;
    if (waited.ok() && !greeting_) status = end_status_;
  }
  if (!status.ok()) {
    stream.reset();
    return ExplainGreeting(status, introduction_.path, pid);
  }
  std::lock_guard sending(sending_);
  stream_ = std::move(stream);
  std::lock_guard lock(mutex_);
  return *greeting_;
}

absl::Status Link::Resume(Deadline deadline) {
  {
    std::lock_guard sending(sending_);
    stream_usable_ = false;
  }
  stream_.reset();
  v1::Resume resume;
  resume.set_session_id(session_->id());
  resume.set_resume_token(session_->resume_token());
  resume.set_epoch(session_->epoch());
  resume.set_received(received_.load());
  absl::StatusOr<v1::Welcome> welcome = Greet(&resume, deadline);
  if (!welcome.ok()) return welcome.status();
  if (welcome->session_id() != session_->id() || welcome->epoch() != session_->epoch()) {
    return absl::NotFoundError("the daemon answered a resume with another session");
  }
  std::lock_guard sending(sending_);
  const uint64_t missed_from = welcome->received();
  if (missed_from < sent_before_ || missed_from > sent_before_ + sent_.size()) {
    return absl::NotFoundError("messages that the daemon missed are no longer kept");
  }
  for (uint64_t i = missed_from - sent_before_; i < sent_.size(); ++i) {
    (void)stream_->Send(sent_[i].message, sent_[i].request_id);
  }
  std::lock_guard lock(mutex_);
  if (stream_ended_) return absl::UnavailableError("the stream broke again");
  stream_usable_ = true;
  state_.store(State::kLive, std::memory_order_release);
  return absl::OkStatus();
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
  }
  FlushReturned();
  absl::Status sent = Send(std::move(message), request_id);
  std::unique_lock lock(mutex_);
  absl::Status waited = absl::DeadlineExceededError("");
  if (sent.ok()) waited = WaitUntil(waiter.wake, lock, deadline, [&] { return waiter.done; });
  waiters_.erase(request_id);
  if (waiter.done) {
    if (!waiter.status.ok()) return waiter.status;
    return std::move(waiter.answer);
  }
  lock.unlock();
  if (absl::IsAborted(sent)) return sent;
  std::lock_guard sending(sending_);
  if (stream_usable_ && stream_->Withdraw(request_id)) {
    for (auto it = sent_.rbegin(); it != sent_.rend(); ++it) {
      if (it->request_id != request_id) continue;
      sent_.erase(std::next(it).base());
      break;
    }
  }
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
  waiter.done = true;
  waiter.wake.notify_one();
}

void Link::OnGrant(v1::ServerMessage& message) {
  const v1::Grant& grant = message.grant();
  std::vector<Session::GrantedSlab> slabs;
  for (const v1::Slab& slab : grant.slabs()) slabs.push_back({slab.slab(), slab.size_bytes()});
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
      call_keeper_();
    }
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
      Deliver(message.refusal().request_id(), RefusalStatus(message.refusal()), {});
      return;
    case v1::ServerMessage::kRetire: {
      if (session_ == nullptr) return;
      const uint64_t slab = message.retire().slab();
      session_->Retire(slab);
      v1::ClientMessage unmapped;
      unmapped.mutable_unmapped()->set_slab(slab);
      (void)Send(std::move(unmapped), 0);
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
    waiter->done = true;
    waiter->wake.notify_one();
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
