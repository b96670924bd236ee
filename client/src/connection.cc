#include "client/src/connection.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/autostart.h"
#include "client/src/errors.h"
#include "client/src/fork_guard.h"
#include "client/src/link.h"
#include "client/src/log.h"
#include "client/src/session.h"
#include "client/src/wait.h"
#include "nvcv_cached/v1/session.pb.h"
#include "proto/units.h"

namespace nvcv_cached::client {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstBackOff{50};
constexpr milliseconds kLongestBackOff{2000};
constexpr milliseconds kStartTimeout{10000};
constexpr milliseconds kReturnDelay{3};  // how long a return waits for a message to go with
constexpr milliseconds kResumeTimeout{3000};
constexpr int kMostAttempts = 2;  // of one call: the second on the next session

milliseconds Jittered(std::chrono::steady_clock::duration duration) {
  static std::mutex mutex;
  static std::minstd_rand random(std::random_device{}());
  std::lock_guard lock(mutex);
  std::uniform_real_distribution<double> factor(0.75, 1.25);
  return milliseconds(static_cast<int64_t>(
      static_cast<double>(std::chrono::duration_cast<milliseconds>(duration).count()) *
      factor(random)));
}

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
  const bool has_driver = ::access("/dev/nvidiactl", F_OK) == 0;
  Log(LogLevel::kWarning,
      absl::StrCat(
          has_driver ? "this build does not serve CUDA devices" : "no CUDA driver here",
          ": objects are made in shared memory (NVCV_CACHED_DEVICE=host says so quietly)"));
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

// Waiting does not mend a daemon that cannot be started: unlike UNAVAILABLE, this is not tried
// again.
absl::Status NotStarted(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return status;
  return WithHint(
      ForceCode(absl::FailedPreconditionError(status.message()), ErrorCode::kUnavailable),
      HintOf(status));
}

}  // namespace

Connection::Connection() = default;

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
    if (settings->device_is_default && !settings->address) SayThatItIsHost();
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
  return Traits().status();
}

// ---- finding a session ---------------------------------------------------------------

absl::StatusOr<std::shared_ptr<Link>> Connection::OpenAt(const Settings& settings,
                                                         const Address& address,
                                                         Deadline deadline) {
  ArmForkGuard();
  Link::Introduction introduction{
      .path = address.path, .name = settings.name, .session_limit_bytes = std::nullopt};
  {
    std::lock_guard lock(mutex_);
    // Not before: a child forked earlier must not share it.
    if (!wake_) wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    introduction.session_limit_bytes = limit_bytes_;
  }
  absl::StatusOr<std::unique_ptr<Link>> link =
      Link::Open(introduction, deadline, [this] { Wake(); });
  if (!link.ok()) return link.status();
  return std::shared_ptr<Link>(*std::move(link));
}

absl::StatusOr<std::shared_ptr<Link>> Connection::StartAndOpen(const Settings& settings,
                                                               const Address& address) {
  const Deadline deadline = Clock::now() + kStartTimeout;
  Log(LogLevel::kInfo, absl::StrCat("starting a daemon at ", address.path));
  absl::StatusOr<StartedDaemon> daemon = StartedDaemon::Start(settings, address);
  if (!daemon.ok()) return NotStarted(daemon.status());
  while (true) {
    absl::StatusOr<std::shared_ptr<Link>> link = OpenAt(settings, address, deadline);
    // A daemon that another starter made may be refusing, or leaving, at this moment.
    if (link.ok() || !(absl::IsNotFound(link.status()) || absl::IsAborted(link.status()) ||
                       absl::IsUnavailable(link.status()))) {
      return link;
    }
    if (absl::Status running = daemon->Check(); !running.ok()) return NotStarted(running);
    if (Clock::now() >= deadline) {
      return WithHint(absl::UnavailableError(absl::StrCat(
                          "the daemon started at ", address.path, " did not answer in ",
                          FormatDuration(kStartTimeout), " (", link.status().message(), "); log ",
                          daemon->log_path(), ": ", daemon->LogTail())),
                      "read the log");
    }
    if (WaitInterrupted()) return absl::CancelledError("interrupted while a daemon was starting");
    std::this_thread::sleep_for(milliseconds(5));
  }
}

absl::StatusOr<std::shared_ptr<Link>> Connection::TryOpen(const Settings& settings,
                                                          Deadline deadline, Start start,
                                                          bool was_connected) {
  absl::StatusOr<Address> address = FindAddress(settings);
  if (!address.ok()) return address.status();
  absl::StatusOr<std::shared_ptr<Link>> link = OpenAt(settings, *address, deadline);
  if (!absl::IsNotFound(link.status())) return link;
  if (start == Start::kAllowed && settings.autostart && !address->is_system) {
    return StartAndOpen(settings, *address);
  }
  return WithHint(
      absl::NotFoundError(absl::StrCat("no daemon for ", settings.device, " at ", address->path,
                                       ": ", link.status().message(),
                                       was_connected ? "; tensors you hold stay valid" : "")),
      HintForMissing(*address, settings));
}

absl::StatusOr<std::shared_ptr<Link>> Connection::Ready(Deadline deadline, Start start) {
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  absl::Status last = absl::UnavailableError("no daemon in time");
  std::unique_lock lock(mutex_);
  while (true) {
    if (leaving_) return absl::UnavailableError("this process is ending");
    if (link_ != nullptr && !link_->closed() && !link_->broken()) return link_;
    const bool mending = link_ != nullptr && !link_->closed();
    if (mending || opening_) {
      const std::shared_ptr<Link> old = link_;
      absl::Status waited = WaitUntil(changed_, lock, deadline, [&] {
        return leaving_ || (mending ? link_ != old || old->closed() || !old->broken() : !opening_);
      });
      if (absl::IsCancelled(waited)) return waited;
      if (!waited.ok())
        return mending ? Explain(waited, "resuming the session", *settings, *old) : last;
      continue;
    }
    opening_ = true;
    const bool was_connected = was_connected_;
    lock.unlock();
    absl::StatusOr<std::shared_ptr<Link>> link = TryOpen(*settings, deadline, start, was_connected);
    lock.lock();
    opening_ = false;
    changed_.notify_all();
    if (link.ok()) {
      link_ = *std::move(link);
      was_connected_ = true;
      const v1::Device& device = link_->welcome().device();
      device_.emplace(device.kind(), device.id(), device.name(), device.total_bytes());
      traits_ = DeviceTraits{.is_host = device.kind() == "host",
                             .row_alignment = device.row_alignment(),
                             .base_alignment = device.base_alignment()};
      back_off_ = {};
      if (!keeper_runs_) {
        keeper_runs_ = true;
        RunKeeper();
      }
      continue;
    }
    last = link.status();
    // A daemon that was there comes back, and one that is leaving makes room; anything else stays
    // as it is.
    const bool may_change = absl::IsUnavailable(last) ||
                            (was_connected && (absl::IsNotFound(last) || absl::IsAborted(last)));
    if (!may_change || Clock::now() >= deadline || start == Start::kNever) return last;
    absl::Status waited = WaitUntil(
        changed_, lock, std::min<Deadline>(deadline, Clock::now() + Jittered(kFirstBackOff)),
        [&] { return leaving_ || (link_ != nullptr && !link_->closed()); });
    if (absl::IsCancelled(waited)) return waited;
    if (Clock::now() >= deadline) return last;
  }
}

absl::StatusOr<std::shared_ptr<Link>> Connection::LinkIfOpen() {
  std::lock_guard lock(mutex_);
  if (link_ == nullptr || link_->closed() || leaving_) return std::shared_ptr<Link>();
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
  return absl::UnavailableError(absl::StrCat("acquire of ", FormatSize(request.size_bytes),
                                             ": two daemons went away under it"));
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

absl::StatusOr<Device> Connection::CurrentDevice() {
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  std::lock_guard lock(mutex_);
  if (device_) return *device_;
  return Device("host", "host", "shared memory", 0);
}

absl::Status Connection::SetLimit(uint64_t limit_bytes) {
  WaitScope waiting;
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  {
    std::lock_guard lock(mutex_);
    limit_bytes_ = limit_bytes;
  }
  absl::StatusOr<std::shared_ptr<Link>> link = LinkIfOpen();
  if (*link == nullptr) return absl::OkStatus();
  v1::ClientMessage message;
  const uint64_t id = (*link)->NewRequestId();
  message.mutable_set_limit()->set_request_id(id);
  message.mutable_set_limit()->set_limit_bytes(limit_bytes);
  absl::Status status = (*link)->Call(message, id, Clock::now() + settings->timeout).status();
  if (absl::IsAborted(status)) return absl::OkStatus();  // it goes with the next Hello
  return Explain(status, "setting the limit", *settings, **link);
}

absl::StatusOr<std::optional<uint64_t>> Connection::Limit() {
  WaitScope waiting;
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  {
    std::lock_guard lock(mutex_);
    if (limit_bytes_) return limit_bytes_;
  }
  const Deadline deadline = Clock::now() + settings->timeout;
  absl::StatusOr<std::shared_ptr<Link>> link = Ready(deadline, Start::kNever);
  if (absl::IsNotFound(link.status())) return std::optional<uint64_t>();
  if (!link.ok()) return link.status();
  v1::ClientMessage message;
  const uint64_t id = (*link)->NewRequestId();
  message.mutable_query()->set_request_id(id);
  absl::StatusOr<Link::Answer> answer = (*link)->Call(message, id, deadline);
  if (absl::IsAborted(answer.status())) return std::optional<uint64_t>();
  if (!answer.ok()) return Explain(answer.status(), "reading the limit", *settings, **link);
  return std::optional<uint64_t>(answer->message.counts().daemon_limit_bytes());
}

absl::Status Connection::Clear(Scope scope, uint32_t thread_tag) {
  WaitScope waiting;
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  absl::StatusOr<std::shared_ptr<Link>> link = LinkIfOpen();
  if (*link == nullptr) return absl::OkStatus();
  v1::ClientMessage message;
  const uint64_t id = (*link)->NewRequestId();
  message.mutable_clear()->set_request_id(id);
  message.mutable_clear()->set_scope(ToProto(scope));
  message.mutable_clear()->set_thread_tag(thread_tag);
  absl::Status status = (*link)->Call(message, id, Clock::now() + settings->timeout).status();
  if (absl::IsAborted(status)) return absl::OkStatus();  // closed: nothing of it is cached any more
  return Explain(status, "clearing the cache", *settings, **link);
}

absl::StatusOr<Stats> Connection::Count(Scope scope, uint32_t thread_tag) {
  WaitScope waiting;
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  Stats stats;
  {
    std::lock_guard lock(mutex_);
    if (scope == Scope::kProcess) stats = past_;
  }
  const Deadline deadline = Clock::now() + settings->timeout;
  absl::StatusOr<std::shared_ptr<Link>> link = LinkIfOpen();
  if (*link == nullptr && scope == Scope::kDaemon) link = Ready(deadline, Start::kNever);
  if (absl::IsNotFound(link.status())) return stats;
  if (!link.ok()) return link.status();
  if (*link == nullptr) return stats;
  v1::ClientMessage message;
  const uint64_t id = (*link)->NewRequestId();
  message.mutable_query()->set_request_id(id);
  message.mutable_query()->set_scope(ToProto(scope));
  message.mutable_query()->set_thread_tag(thread_tag);
  absl::StatusOr<Link::Answer> answer = (*link)->Call(message, id, deadline);
  if (absl::IsAborted(answer.status())) return stats;
  if (!answer.ok()) return Explain(answer.status(), "reading the counters", *settings, **link);
  const v1::Counts& counts = answer->message.counts();
  stats.hits_exact += counts.hits_exact();
  stats.hits_size_class += counts.hits_size_class();
  stats.hits_depot += counts.hits_depot();
  stats.hits = stats.hits_exact + stats.hits_size_class + stats.hits_depot;
  stats.misses = counts.misses();
  stats.misses_reclaim = counts.misses_reclaim();
  stats.misses_grow = counts.misses_grow();
  stats.refused = counts.refused();
  stats.cache_items = counts.cache_items();
  stats.cache_bytes = counts.cache_bytes();
  return stats;
}

// ---- the keeper ----------------------------------------------------------------------

void Connection::RunKeeper() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] {
    pthread_setname_np(pthread_self(), "nvcv-keep");
    Keep();
    std::lock_guard lock(mutex_);
    keeper_stopped_ = true;
    changed_.notify_all();
  }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Connection::Keep() {
  std::unique_lock lock(mutex_);
  while (!leaving_) {
    std::shared_ptr<Link> link = link_;
    if (link != nullptr && link->broken()) {
      lock.unlock();
      MendOrClose(link);
      lock.lock();
      changed_.notify_all();
      continue;
    }
    int timeout_ms = -1;
    if (link == nullptr || link->closed()) {
      // No session: look for a daemon now and then.
      if (Clock::now() >= next_attempt_) {
        lock.unlock();
        absl::Status status = Ready(Clock::now() + kResumeTimeout, Start::kNever).status();
        lock.lock();
        if (status.ok()) continue;
        back_off_ = std::clamp<Clock::duration>(back_off_ * 2, kFirstBackOff, kLongestBackOff);
        next_attempt_ = Clock::now() + Jittered(back_off_);
      }
      timeout_ms =
          static_cast<int>(std::chrono::ceil<milliseconds>(next_attempt_ - Clock::now()).count());
      timeout_ms = std::max(timeout_ms, 1);
    }
    lock.unlock();
    pollfd wake{wake_.get(), POLLIN, 0};
    bool woken = ::poll(&wake, 1, timeout_ms) > 0;
    uint64_t count = 0;
    if (woken && ::read(wake_.get(), &count, sizeof(count)) > 0 && link != nullptr &&
        !link->broken() && !link->closed()) {
      // Something came back: give an acquire the chance to take it along.
      pollfd more{wake_.get(), POLLIN, 0};
      ::poll(&more, 1, static_cast<int>(kReturnDelay.count()));
      link->FlushReturned();
    }
    lock.lock();
  }
}

void Connection::MendOrClose(const std::shared_ptr<Link>& link) {
  milliseconds back_off = kFirstBackOff;
  const absl::Status end = link->end_status();
  // A stream that broke may be resumed; one that the daemon ended for a reason, or that lied, may
  // not.
  bool mendable = absl::IsUnavailable(end) || absl::IsInternal(end) || absl::IsUnknown(end);
  while (mendable) {
    {
      std::lock_guard lock(mutex_);
      if (leaving_) return;
    }
    if (!link->session().PeerIsOpen()) break;
    absl::Status status = link->Resume(Clock::now() + kResumeTimeout);
    if (status.ok()) {
      Log(LogLevel::kInfo, "the session's stream broke and was resumed");
      return;
    }
    mendable =
        absl::IsAborted(status) || absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
    pollfd wake{wake_.get(), POLLIN, 0};
    ::poll(&wake, 1, static_cast<int>(Jittered(back_off).count()));
    uint64_t count = 0;
    [[maybe_unused]] ssize_t drained = ::read(wake_.get(), &count, sizeof(count));
    back_off = std::min(back_off * 2, kLongestBackOff);
  }
  Log(LogLevel::kInfo,
      absl::StrCat("the daemon is gone: ", end.message(), "; looking for a new one"));
  link->Close();
  const Session::Hits hits = link->session().SumHits();
  std::lock_guard lock(mutex_);
  past_.hits_exact += hits.exact;
  past_.hits_size_class += hits.size_class;
  past_.hits_depot += hits.depot;
  past_.hits = past_.hits_exact + past_.hits_size_class + past_.hits_depot;
  back_off_ = {};
  next_attempt_ = Clock::now();
}

void Connection::Leave(milliseconds patience) {
  const Deadline deadline = Clock::now() + patience;
  std::shared_ptr<Link> link;
  {
    std::unique_lock lock(mutex_);
    if (leaving_) return;
    leaving_ = true;
    changed_.notify_all();
    Wake();
    if (keeper_runs_) {
      changed_.wait_until(lock, Clock::now() + patience / 2, [&] { return keeper_stopped_; });
      if (!keeper_stopped_)
        return;  // it is in the middle of something: the kernel says goodbye for us
    }
    link = link_;
  }
  if (link != nullptr) {
    link->Leave(std::chrono::duration_cast<milliseconds>(deadline - Clock::now()));
  }
}

}  // namespace nvcv_cached::client
