#include "client/src/connection.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/autostart.h"
#include "client/src/daemon_socket.h"
#include "client/src/errors.h"
#include "client/src/link.h"
#include "client/src/log.h"
#include "client/src/opening.h"
#include "client/src/session.h"
#include "client/src/utf8.h"
#include "client/src/wait.h"
#include "nvcv_cached/v1/session.pb.h"
#include "proto/host_memory.h"
#include "proto/units.h"

namespace nvcv_cached::client {

namespace {

using std::chrono::milliseconds;

constexpr int kMostAttempts = 2;  // of one call: the second on the next session

v1::Scope ToProto(Scope scope) {
  switch (scope) {
    case Scope::kThread:
      return v1::SCOPE_THREAD;
    case Scope::kDaemon:
      return v1::SCOPE_DAEMON;
    case Scope::kProcess:
      break;
  }
  return v1::SCOPE_PROCESS;
}

// The daemon's wait for memory ends before the caller's, so that its answer names the holders.
uint32_t WaitForMemory(std::chrono::steady_clock::time_point deadline) {
  auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
  auto spare = std::min(left / 10, milliseconds(250));
  return static_cast<uint32_t>(std::max<int64_t>(0, (left - spare).count()));
}

// Nobody chose the device: what it became is said once.
void SayThatItIsHost() {
  Log(LogLevel::kWarning,
      "no CUDA driver here: objects are made in shared memory (NVCV_CACHED_DEVICE=host says so "
      "quietly)");
}

// A deadline that passed has no text yet: only here is known what was asked, and of whom.
absl::Status Explain(const absl::Status& status, const std::string& asked, const Settings& settings,
                     const Link& link) {
  if (!absl::IsDeadlineExceeded(status) || !status.message().empty()) return status;
  return WithHint(absl::DeadlineExceededError(
                      absl::StrCat(asked, ": no answer in ", FormatDuration(settings.timeout),
                                   " from ", DescribeProcess(link.daemon_pid()))),
                  "check that process, or raise NVCV_CACHED_TIMEOUT");
}

absl::Status TwoDaemonsWentAway(const std::string& asked) {
  return WithHint(
      absl::UnavailableError(absl::StrCat(asked,
                                          ": two daemons went away under it, one after the "
                                          "other; tensors you hold stay valid")),
      "see why in the daemon's log, then try again");
}

}  // namespace

Connection::Connection(const Options& options) : options_(options) {}

Connection::~Connection() {
  Leave(milliseconds(1000));
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !keeper_runs_ || keeper_stopped_; });
  if (link_ != nullptr && !link_->closed()) link_->Close();
}

void Connection::Wake() noexcept {
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

absl::StatusOr<Settings> Connection::SettingsNow() {
  std::lock_guard lock(mutex_);
  if (!settings_) {
    absl::StatusOr<Settings> settings = ReadSettings(options_);
    if (!settings.ok()) return settings.status();
    if (settings->device_asked.empty() && settings->device == "host") SayThatItIsHost();
    settings_ = *std::move(settings);
  }
  return *settings_;
}

absl::Status Connection::Connect(const Options& options) {
  WaitScope waiting;
  {
    std::lock_guard lock(mutex_);
    if (was_connected_) {
      if (absl::Status same = CheckSame(*settings_, options); !same.ok()) return same;
    } else {
      absl::StatusOr<Settings> settings = ReadSettings(options);
      if (!settings.ok()) return settings.status();
      options_ = options;
      settings_ = *std::move(settings);
    }
  }
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  const Deadline deadline = Clock::now() + settings->timeout;
  absl::Status last;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    absl::StatusOr<std::shared_ptr<Link>> link = Ready(deadline, Start::kAllowed);
    if (!link.ok()) return link.status();
    // A daemon that died a moment ago is noticed at the latest by asking it.
    const Deadline answer_by = std::max(deadline, Clock::now() + milliseconds(100));
    last = Query(**link, *settings, "connecting", Scope::kProcess, 0, answer_by).status();
    if (!absl::IsAborted(last)) return last;
  }
  return TwoDaemonsWentAway("connecting");
}

// ---- finding a session ---------------------------------------------------------------

// Somebody else is opening the session. A caller who may start a daemon waits for one that is being
// started, as its starter does.
absl::Status Connection::AwaitOpening(std::unique_lock<std::mutex>& lock, Deadline deadline,
                                      Start start, const Settings& settings) {
  const bool starts = opening_start_ == Start::kAllowed && settings.autostart;
  const Deadline until =
      start == Start::kAllowed && starts ? deadline + kStartTimeout + milliseconds(500) : deadline;
  absl::Status waited = WaitUntil(changed_, lock, until, [&] { return leaving_ || !opening_; });
  if (waited.ok() && !leaving_ && (link_ == nullptr || link_->closed()) &&
      Clock::now() >= deadline) {
    return last_attempt_;
  }
  if (!absl::IsDeadlineExceeded(waited)) return waited;
  return WithHint(
      absl::UnavailableError(absl::StrCat(
          "no daemon", settings.device.empty() ? "" : " for ", settings.device,
          " yet: another thread of this process is ", starts ? "starting one" : "connecting",
          ", not done in ", FormatDuration(settings.timeout))),
      "try again, or raise NVCV_CACHED_TIMEOUT");
}

// The session is there for everybody from here on; the lock is held.
absl::Status Connection::Publish(std::unique_ptr<Link> link, std::optional<uint64_t> told_limit) {
  if (!keeper_runs_) {
    if (absl::Status runs = RunKeeper(); !runs.ok()) return runs;
  }
  // A limit that was set since its Hello was written.
  if (limit_bytes_ != told_limit) (void)link->TellLimit(*limit_bytes_);  // fails with the link only
  if (link_ != nullptr) CountOff(*link_);
  link_ = std::move(link);
  was_connected_ = true;
  system_socket_.reset();
  if (IsSystemSocket(link_->socket_path())) system_socket_ = link_->socket_path();
  const v1::Device& device = link_->welcome().device();
  device_.emplace(device.kind(), device.id(), device.name(), device.total_bytes());
  traits_ = DeviceTraits{.is_host = device.kind() == "host",
                         .row_alignment = device.row_alignment(),
                         .base_alignment = device.base_alignment()};
  WarnOfLimit();
  back_off_.Reset();
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Link>> Connection::Ready(Deadline deadline, Start start) {
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  BackOff back_off;
  std::unique_lock lock(mutex_);
  while (true) {
    if (leaving_) return absl::UnavailableError("this process is ending");
    if (link_ != nullptr && !link_->closed()) {
      if (!link_->broken()) return link_;
      const std::shared_ptr<Link> old = link_;
      absl::Status waited = WaitUntil(changed_, lock, deadline, [&] {
        return leaving_ || link_ != old || old->closed() || !old->broken();
      });
      if (!waited.ok()) return Explain(waited, "resuming the session", *settings, *old);
      continue;
    }
    if (opening_) {
      absl::Status waited = AwaitOpening(lock, deadline, start, *settings);
      if (!waited.ok()) return waited;
      continue;
    }
    opening_ = true;
    opening_start_ = start;
    // Not before: a child forked earlier must not share it.
    if (!wake_) wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    const bool was_connected = was_connected_;
    Opening opening{.settings = *settings,
                    .session_limit_bytes = limit_bytes_,
                    .may_start = start == Start::kAllowed,
                    .was_connected = was_connected,
                    .system_socket = system_socket_,
                    .deadline = deadline,
                    .call_keeper = [this] { Wake(); }};
    lock.unlock();
    absl::StatusOr<std::unique_ptr<Link>> link = OpenLink(opening);
    lock.lock();
    absl::Status last = link.status();
    if (link.ok()) last = Publish(*std::move(link), opening.session_limit_bytes);
    opening_ = false;
    last_attempt_ = last;
    changed_.notify_all();
    if (last.ok()) continue;
    if (!keeper_runs_) wake_.reset();
    // A daemon that was there comes back, and one that is leaving makes room; anything else stays
    // as it is.
    const bool may_change = absl::IsUnavailable(last) ||
                            (was_connected && (absl::IsNotFound(last) || absl::IsAborted(last)));
    if (!may_change || Clock::now() >= deadline || start == Start::kNever) return last;
    const Deadline next = std::min<Deadline>(deadline, Clock::now() + back_off.Next());
    absl::Status waited = WaitUntil(
        changed_, lock, next, [&] { return leaving_ || (link_ != nullptr && !link_->closed()); });
    if (absl::IsCancelled(waited)) return waited;
    if (Clock::now() >= deadline) return last;
  }
}

std::shared_ptr<Link> Connection::LinkIfOpen() {
  std::lock_guard lock(mutex_);
  if (link_ == nullptr || link_->closed() || leaving_) return nullptr;
  return link_;
}

// ---- calls ---------------------------------------------------------------------------

absl::StatusOr<std::vector<Lease>> Connection::Acquire(const LeaseRequest& request) {
  WaitScope waiting;
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  absl::Status last;
  Deadline deadline = Clock::now() + settings->timeout;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    absl::StatusOr<std::shared_ptr<Link>> link = Ready(deadline, Start::kAllowed);
    if (!link.ok()) return link.status();
    // Starting a daemon has a time of its own.
    if (Clock::now() >= deadline) deadline = Clock::now() + settings->timeout;
    if (const CudaSide* cuda = (*link)->session().cuda(); cuda != nullptr) {
      if (absl::Status usable = cuda->Check(); !usable.ok()) return usable;
    }
    v1::ClientMessage message;
    v1::Acquire& acquire = *message.mutable_acquire();
    const uint64_t id = (*link)->NewRequestId();
    acquire.set_request_id(id);
    acquire.set_size_bytes(request.size_bytes);
    acquire.set_alignment(request.alignment);
    acquire.set_thread_tag(request.thread_tag);
    acquire.set_timeout_ms(WaitForMemory(deadline));
    acquire.set_ahead(request.ahead);
    acquire.set_spec(request.spec);
    absl::StatusOr<Link::Answer> answer = (*link)->Call(message, id, deadline);
    if (answer.ok()) {
      if (answer->leases.empty()) return absl::InternalError("the daemon granted nothing");
      return std::move(answer->leases);
    }
    last = answer.status();
    if (!absl::IsAborted(last)) {
      return Explain(last, absl::StrCat("acquire of ", FormatSize(request.size_bytes)), *settings,
                     **link);
    }
  }
  return TwoDaemonsWentAway(absl::StrCat("acquire of ", FormatSize(request.size_bytes)));
}

void Connection::Returned(const Lease& lease) noexcept {
  if (lease.session->Returned(lease)) Wake();
}

absl::StatusOr<DeviceTraits> Connection::Traits() {
  WaitScope waiting;
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  {
    std::lock_guard lock(mutex_);
    if (was_connected_) return traits_;
  }
  absl::StatusOr<std::shared_ptr<Link>> link =
      Ready(Clock::now() + settings->timeout, Start::kAllowed);
  if (!link.ok()) return link.status();
  std::lock_guard lock(mutex_);
  return traits_;
}

bool Connection::was_connected() {
  std::lock_guard lock(mutex_);
  return was_connected_;
}

bool Connection::DeviceIs(const std::string& id) {
  std::lock_guard lock(mutex_);
  return was_connected_ && device_->id() == id;
}

absl::StatusOr<Device> Connection::CurrentDevice() {
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  std::lock_guard lock(mutex_);
  if (device_) return *device_;
  if (settings->device.empty()) {
    return Device("", "", ToUtf8("of the daemon at " + *settings->address), 0);
  }
  return Device(settings->device == "host" ? "host" : "cuda", settings->device,
                settings->device_name, 0);
}

absl::StatusOr<uint64_t> Connection::DeviceBytes() {
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  return settings->device_bytes != 0 ? settings->device_bytes : ReadHostMemory().total_bytes;
}

absl::StatusOr<std::string> Connection::GpuUuid() {
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  if (settings->device.empty()) {
    if (absl::Status connected = Traits().status(); !connected.ok()) return connected;
  }
  std::lock_guard lock(mutex_);
  const std::string& id = device_ ? device_->id() : settings->device;
  return id == "host" ? std::string() : id;
}

absl::StatusOr<v1::Counts> Connection::Query(Link& link, const Settings& settings,
                                             const std::string& asked, Scope scope,
                                             uint32_t thread_tag, Deadline deadline) {
  v1::ClientMessage message;
  const uint64_t id = link.NewRequestId();
  message.mutable_query()->set_request_id(id);
  message.mutable_query()->set_scope(ToProto(scope));
  message.mutable_query()->set_thread_tag(thread_tag);
  absl::StatusOr<Link::Answer> answer = link.Call(message, id, deadline);
  if (!answer.ok()) return Explain(answer.status(), asked, settings, link);
  return std::move(*answer->message.mutable_counts());
}

absl::Status Connection::Clear(Scope scope, uint32_t thread_tag) {
  WaitScope waiting;
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  std::shared_ptr<Link> link = LinkIfOpen();
  if (link == nullptr) return absl::OkStatus();
  v1::ClientMessage message;
  const uint64_t id = link->NewRequestId();
  message.mutable_clear()->set_request_id(id);
  message.mutable_clear()->set_scope(ToProto(scope));
  message.mutable_clear()->set_thread_tag(thread_tag);
  absl::Status status = link->Call(message, id, Clock::now() + settings->timeout).status();
  if (absl::IsAborted(status)) return absl::OkStatus();  // closed: nothing of it is cached any more
  return Explain(status, "clearing the cache", *settings, *link);
}

}  // namespace nvcv_cached::client
