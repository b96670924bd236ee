#include "server/daemon.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/units.h"

namespace nvcv_cached::server {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kDrainLook{20};
constexpr std::chrono::milliseconds kExtension{5'000};
constexpr std::chrono::milliseconds kStatusEvery{5'000};
// A signal to the whole group reaches us twice where a stand-in passes it on: within this it is
// one.
constexpr std::chrono::milliseconds kSameSignal{500};
constexpr size_t kMaxHolders = 20;

sigset_t Signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, signal);
  return set;
}

PoolReport Pool(Broker& broker) {
  return broker.With([](Books& books) { return books.GetPool(); });
}

std::vector<Pulse> AllPulses(const Daemon::Parts& parts) {
  std::vector<Pulse> pulses = parts.broker.Pulses();
  for (Pulse& pulse : parts.rpc.Pulses()) pulses.push_back(std::move(pulse));
  return pulses;
}

}  // namespace

void BlockSignals() {
  const sigset_t set = Signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a slab beyond RLIMIT_FSIZE is an error, not the end
}

Daemon::Daemon(const Parts& parts) : parts_(parts), liveness_(AllPulses(parts)) {
  const sigset_t set = Signals();
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

bool Daemon::Run() {
  parts_.manager.Ready(Status());
  while (leave_ == Leave::kNo) {
    int timeout_ms = -1;
    if (const std::optional<Time> next = NextMoment()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - Steady::now());
      timeout_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
    }
    pollfd waits[] = {{signals_.get(), POLLIN, 0}, {parts_.record.wakeup(), POLLIN, 0}};
    ::poll(waits, 2, timeout_ms);
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) OnSignal(info.ssi_signo);
    CheckIdle();
    CheckDrain();
    parts_.record.Look(Steady::now());
    parts_.foreign.Look(Steady::now());
    TellManager();
  }
  if (!draining_since_) parts_.manager.Stopping();
  return leave_ == Leave::kInOrder;
}

std::optional<Daemon::Time> Daemon::NextMoment() const {
  std::optional<Time> next;
  auto at = [&](Time time) { next = next ? std::min(*next, time) : time; };
  if (draining_since_) at(Steady::now() + kDrainLook);
  for (const auto& look : {parts_.foreign.next(), parts_.record.next()}) {
    if (look) at(*look);
  }
  if (parts_.manager.is_there()) at(next_word_);
  if (const auto idle_exit = parts_.settings.Get().idle_exit; idle_exit && !draining_since_) {
    // While somebody is there, it cannot be time before one whole idle time from now.
    at(parts_.broker.IdleSince().value_or(Steady::now()) + *idle_exit);
  }
  return next;
}

void Daemon::OnSignal(uint32_t signal) {
  switch (signal) {
    case SIGTERM:
    case SIGINT:
      if (draining_since_ && parts_.has_stand_in &&
          Steady::now() - *draining_since_ < kSameSignal) {
        break;
      }
      if (draining_since_) {
        LogWarning(Event("leave").With("why", "a second signal"));
        leave_ = Leave::kAtOnce;
      } else {
        Drain(signal == SIGTERM ? "SIGTERM" : "SIGINT");
      }
      break;
    case SIGHUP:
      Reload();
      break;
    case SIGUSR1:
      LogSnapshot();
      break;
    default:
      break;
  }
}

void Daemon::Drain(const std::string& why) {
  const auto timeout = parts_.settings.Get().drain_timeout;
  LogInfo(Event("drain")
              .With("why", why)
              .With("timeout", timeout ? absl::StrCat(timeout->count(), "ms") : "never"));
  parts_.manager.Stopping();
  parts_.broker.Drain();
  draining_since_ = Steady::now();
}

void Daemon::CheckIdle() {
  const auto idle_exit = parts_.settings.Get().idle_exit;
  if (!idle_exit || draining_since_) return;
  const auto since = parts_.broker.IdleSince();
  if (!since || Steady::now() - *since < *idle_exit) return;
  // Nobody can come any more from here on; whoever was faster stays.
  const bool was_serving = parts_.broker.state() == ServingState::kServing;
  parts_.broker.Drain();
  if (parts_.broker.IdleSince()) {
    LogInfo(Event("leave")
                .With("why", "idle")
                .With("idle_exit", absl::StrCat(idle_exit->count(), "ms")));
    leave_ = Leave::kInOrder;
  } else if (was_serving) {
    parts_.broker.Undrain();
  }
}

void Daemon::CheckDrain() {
  if (!draining_since_ || leave_ != Leave::kNo) return;
  const PoolReport pool = Pool(parts_.broker);
  if (pool.leases_in_use == 0) {
    LogInfo(Event("leave").With("why", "drained").With("sessions", pool.sessions));
    leave_ = Leave::kInOrder;
    return;
  }
  // Sessions go on while they drain; what they release meanwhile is to go back as well.
  if (pool.leases_idle > 0) {
    parts_.broker.With([](Books& books) { books.Clear({}); });
  }
  const auto timeout = parts_.settings.Get().drain_timeout;
  if (timeout && Steady::now() - *draining_since_ >= *timeout) {
    LogHolders();
    LogWarning(Event("leave")
                   .With("why", "drain-timeout")
                   .With("in_use", FormatSize(pool.in_use))
                   .With("leases", pool.leases_in_use)
                   .With("hint", "what is in use stays valid until its processes let go of it"));
    leave_ = Leave::kInOrder;
  } else if (Steady::now() >= next_extension_) {
    parts_.manager.ExtendTimeout(2 * kExtension);
    next_extension_ = Steady::now() + kExtension;
  }
}

void Daemon::LogHolders() {
  std::vector<SessionReport> sessions =
      parts_.broker.With([](Books& books) { return books.GetSessions(); });
  std::erase_if(sessions, [](const SessionReport& session) { return session.in_use == 0; });
  std::sort(sessions.begin(), sessions.end(),
            [](const SessionReport& a, const SessionReport& b) { return a.in_use > b.in_use; });
  const size_t shown = std::min(sessions.size(), kMaxHolders);
  std::vector<std::string> names;
  for (size_t i = 0; i < shown; ++i) {
    const SessionReport& session = sessions[i];
    names.push_back(
        absl::StrCat(session.name, " pid ", session.pid, " ", FormatSize(session.in_use)));
  }
  if (shown < sessions.size())
    names.push_back(absl::StrCat("and ", sessions.size() - shown, " more"));
  LogWarning(
      Event("holders").With("count", sessions.size()).With("who", absl::StrJoin(names, ", ")));
}

void Daemon::Reload() {
  parts_.manager.Reloading();
  const absl::StatusOr<DaemonSettings> read = parts_.reader.Read(parts_.broker.device_info());
  if (!read.ok()) {
    LogError(Event("reload")
                 .With("result", "refused")
                 .With("failed", parts_.settings.CountReload(&Reloads::refused).refused)
                 .With("error", std::string(read.status().message()))
                 .With("hint", "everything stays as it was"));
    parts_.manager.Ready(Status());
    return;
  }
  const Reloaded reloaded = parts_.settings.Change([&](DaemonSettings& settings) {
    Reloaded plan = PlanReload(settings, *read);
    const DaemonSettings& now = plan.settings;
    parts_.broker.With([&](Books& books) {
      const Settings& old = books.settings();
      if (now.capacity_bytes != old.capacity_bytes) books.SetCapacity(now.capacity_bytes);
      if (now.policy != old.policy) books.SetPolicy(now.policy);
      if (now.limit_bytes != old.limit_bytes) books.SetLimit(now.limit_bytes);
      if (now.trim_after != old.trim_after) books.SetTrimAfter(now.trim_after);
      if (now.quota_bytes != old.quota_bytes) {
        (void)books.SetQuota(std::nullopt, now.quota_bytes);  // the default has no session to miss
      }
    });
    parts_.rpc.SetMaxSessions(now.max_sessions);
    SetLogLevel(now.log_level);
    parts_.log.SetFormat(now.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
    settings = now;
    return plan;
  });
  parts_.settings.CountReload(&Reloads::ok);
  LogInfo(
      Event("reload").With("result", "ok").With("changed", absl::StrJoin(reloaded.changed, " ")));
  if (!reloaded.needs_restart.empty()) {
    LogWarning(Event("reload")
                   .With("needs_restart", absl::StrJoin(reloaded.needs_restart, " "))
                   .With("hint", "these stay as they were until the daemon starts again"));
  }
  parts_.manager.Ready(Status());
}

void Daemon::LogSnapshot() {
  const PoolReport pool = Pool(parts_.broker);
  LogInfo(Event("snapshot")
              .With("pool_bytes", pool.pool_bytes)
              .With("in_use", pool.in_use)
              .With("idle", pool.idle)
              .With("draining", pool.draining)
              .With("quarantined", pool.quarantined)
              .With("free", pool.free)
              .With("slack", pool.slack)
              .With("foreign", pool.foreign_bytes)
              .With("cache_bytes", pool.cache_bytes)
              .With("cache_items", pool.cache_items)
              .With("limit", pool.limit_bytes)
              .With("capacity", pool.capacity_bytes)
              .With("sessions", pool.sessions)
              .With("slabs", pool.slabs));
  const auto [sessions, slabs] = parts_.broker.With(
      [](Books& books) { return std::pair(books.GetSessions(), books.GetSlabs()); });
  for (const SessionReport& session : sessions) {
    LogInfo(Event("snapshot-session")
                .With("id", session.id)
                .With("pid", session.pid)
                .With("uid", session.uid)
                .With("name", session.name)
                .With("in_use", session.in_use)
                .With("idle", session.idle)
                .With("quarantined", session.quarantined)
                .With("leases", session.leases)
                .With("hits", session.hits)
                .With("misses", session.misses));
  }
  for (const SlabReport& slab : slabs) {
    LogInfo(Event("snapshot-slab")
                .With("id", slab.id)
                .With("bytes", slab.size_bytes)
                .With("domain", slab.domain)
                .With("mapped_by", slab.mapped_by)
                .With("extents", slab.extents.size()));
  }
}

std::string Daemon::Status() {
  const Sums sums = parts_.broker.With([](Books& books) { return books.GetSums(); });
  std::string status =
      absl::StrCat(sums.sessions, " sessions, ", FormatSize(sums.cache_bytes), " of ",
                   FormatSize(sums.limit_bytes), " cached, pool ", FormatSize(sums.pool_bytes));
  if (parts_.broker.state() == ServingState::kDraining) {
    status =
        absl::StrCat("draining, ", FormatSize(Pool(parts_.broker).in_use), " in use; ", status);
  }
  if (!hung_.empty()) status = absl::StrCat("hangs: ", hung_, "; ", status);
  return status;
}

void Daemon::TellManager() {
  if (!parts_.manager.is_there() || Steady::now() < next_word_) return;
  const auto watchdog = parts_.manager.watchdog();
  if (!watchdog) {
    parts_.manager.Status(Status());
    next_word_ = Steady::now() + kStatusEvery;
    return;
  }
  // A hang is seen within half of the watchdog's time; then it is left to the manager.
  const std::string hung = absl::StrJoin(liveness_.Beat(Steady::now(), *watchdog / 2), " ");
  if (hung != std::exchange(hung_, hung) && !hung.empty()) {
    LogError(
        Event("hang")
            .With("threads", hung)
            .With("hint",
                  "the service manager ends a daemon that stays so; clients keep what they use"));
  }
  if (hung.empty()) {
    parts_.manager.Alive(Status());
  } else {
    parts_.manager.Status(Status());
  }
  next_word_ = Steady::now() + *watchdog / 4;
}

}  // namespace nvcv_cached::server
