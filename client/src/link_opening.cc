// How a link begins and begins again: Hello and Welcome, the descriptor socket, and what is sent
// once more.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/src/daemon_socket.h"
#include "client/src/errors.h"
#include "client/src/fork_guard.h"
#include "client/src/link.h"
#include "client/src/wait.h"
#include "proto/socket_paths.h"
#include "proto/version.h"

namespace nvcv_cached::client {

namespace {

absl::StatusOr<UniqueFd> ConnectForDescriptors(const std::string& path, const std::string& token,
                                               std::chrono::steady_clock::time_point deadline) {
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

// Why a first greeting failed, in words that name the socket.
absl::Status ExplainGreeting(const absl::Status& status, const std::string& path, pid_t pid) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
      // Of two things that a daemon refuses so, versions and equal pid numbers, one is CUDA's.
      if (absl::StartsWith(status.message(), "CUDA IPC")) {
        return ForceCode(status, ErrorCode::kDeviceError);
      }
      return status;
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
          absl::AbortedError(absl::StrCat("what listens at ", path, ", ", DescribeProcess(pid),
                                          ", is no nvcv-cached: ", status.message())),
          "name the socket of an nvcv-cached in NVCV_CACHED_ADDRESS");
  }
}

absl::Status CheckDevice(const Link::Introduction& introduction, const std::string& served) {
  if (introduction.device.empty() || introduction.device == served) return absl::OkStatus();
  return WithHint(
      absl::InvalidArgumentError(absl::StrCat("device ", introduction.device,
                                              " was asked for; the daemon at ", introduction.path,
                                              " serves ", served)),
      "unset NVCV_CACHED_ADDRESS, so that the device's own socket is found, or name that device");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Link>> Link::Open(const Introduction& introduction,
                                                 Deadline deadline,
                                                 std::function<void()> call_keeper) {
  std::unique_ptr<Link> link(new Link(introduction, std::move(call_keeper)));
  absl::StatusOr<v1::Welcome> welcome = link->Greet(nullptr, deadline);
  if (!welcome.ok()) return welcome.status();
  link->welcome_ = *std::move(welcome);
  if (absl::Status same = CheckDevice(introduction, link->welcome_.device().id()); !same.ok()) {
    return same;
  }

  absl::StatusOr<UniqueFd> descriptors =
      ConnectForDescriptors(introduction.path, link->welcome_.descriptor_token(), deadline);
  if (!descriptors.ok()) return descriptors.status();
  SessionInfo info{
      .id = link->welcome_.session_id(),
      .epoch = link->welcome_.epoch(),
      .resume_token = link->welcome_.resume_token(),
      .table_age_ms = link->welcome_.table_age_ms(),
      .gpu = link->welcome_.device().kind() == "cuda" ? link->welcome_.device().id() : "",
      .strict_streams = introduction.strict_streams};
  absl::StatusOr<Session*> session =
      Session::Open(info, *std::move(descriptors), deadline, link->call_keeper_);
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
  ArmForkGuard();  // gRPC's threads are not inherited, nor is what they are in the middle of
  absl::StatusOr<std::unique_ptr<Stream>> opened =
      Stream::Open(std::move(connected->socket), this, turns_);
  if (!opened.ok()) return opened.status();
  std::unique_ptr<Stream> stream = *std::move(opened);
  v1::ClientMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol_min(kProtocolMin);
  hello.set_protocol_max(kProtocolMax);
  hello.set_library_version(kVersion);
  hello.set_pid(::getpid());
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

}  // namespace nvcv_cached::client
