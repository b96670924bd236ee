#include "server/all_devices.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/cuda_driver.h"
#include "proto/unique_fd.h"
#include "server/device/cuda_gpu.h"
#include "server/exit_code.h"
#include "server/log/log_sink.h"
#include "server/log/logfmt.h"

namespace nvcv_cached::server {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kFirstPause{1'000};
constexpr Milliseconds kLongestPause{30'000};
constexpr std::chrono::seconds kWell{60};  // having run for so long, it starts anew at kFirstPause

struct Child {
  std::string device;
  pid_t pid = 0;                 // 0: not running
  std::optional<int> exit = {};  // it is over
  Clock::time_point started = {}, next_start = {};
  Milliseconds pause = kFirstPause;
};

class Family {
 public:
  Family(const std::vector<std::string>& devices, int argc, char** argv)
      : words_(argv, argv + argc) {
    for (const std::string& device : devices) children_.push_back({.device = device});
    sigset_t set;
    sigemptyset(&set);
    for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD}) sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, &before_);
    signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  int Run() {
    while (true) {
      for (Child& child : children_) {
        if (IsDue(child)) Start(child);
      }
      if (std::all_of(children_.begin(), children_.end(),
                      [](const Child& child) { return child.exit.has_value(); })) {
        return Code();
      }
      pollfd wait{signals_.get(), POLLIN, 0};
      ::poll(&wait, 1, TimeoutMs());
      signalfd_siginfo info{};
      while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo != SIGCHLD) PassOn(static_cast<int>(info.ssi_signo));
      }
      Reap();
    }
  }

 private:
  bool IsDue(const Child& child) const {
    return child.pid == 0 && !child.exit && Clock::now() >= child.next_start;
  }

  int TimeoutMs() const {
    int64_t least = -1;
    for (const Child& child : children_) {
      if (child.pid != 0 || child.exit) continue;
      const auto left = std::chrono::ceil<Milliseconds>(child.next_start - Clock::now()).count();
      least = least < 0 ? std::max<int64_t>(left, 0) : std::min(least, std::max<int64_t>(left, 0));
    }
    return static_cast<int>(least);
  }

  void Start(Child& child) {
    std::vector<std::string> words = words_;
    words.push_back(absl::StrCat("--device=", child.device));  // the last one counts
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    const pid_t parent = ::getpid();
    child.started = Clock::now();
    child.pid = ::fork();
    if (child.pid == 0) {
      ::setpgid(0, 0);  // a terminal's Ctrl-C reaches it through us alone, once
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (::getppid() != parent) ::_exit(kFailed);
      ::sigprocmask(SIG_SETMASK, &before_, nullptr);
      ::execv("/proc/self/exe", pointers.data());
      ::_exit(kFailed);
    }
    if (child.pid < 0) {
      child.pid = 0;
      Again(child, "cannot fork");
    }
  }

  void PassOn(int signal) {
    leaving_ = leaving_ || signal == SIGTERM || signal == SIGINT;
    for (Child& child : children_) {
      if (child.pid != 0) {
        ::kill(child.pid, signal);
      } else if (leaving_ && !child.exit) {
        child.exit = kStopped;
      }
    }
  }

  void Reap() {
    int status = 0;
    for (pid_t ended; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto child = std::find_if(children_.begin(), children_.end(),
                                      [&](const Child& one) { return one.pid == ended; });
      if (child == children_.end()) continue;  // adopted, as the first process of a container
      child->pid = 0;
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
      if (leaving_ || code != kFailed) {
        child->exit = code;
      } else {
        Again(*child, WIFSIGNALED(status) ? absl::StrCat("signal ", WTERMSIG(status)) : "exit 1");
      }
    }
  }

  void Again(Child& child, const std::string& why) {
    if (Clock::now() - child.started >= kWell) child.pause = kFirstPause;
    child.next_start = Clock::now() + child.pause;
    LogWarning(Event("child-ended")
                   .With("device", child.device)
                   .With("why", why)
                   .With("again_in", absl::StrCat(child.pause.count(), "ms")));
    child.pause = std::min(2 * child.pause, kLongestPause);
  }

  int Code() const {
    for (const Child& child : children_) {
      if (*child.exit != kStopped) return *child.exit;
    }
    return kStopped;
  }

  const std::vector<std::string> words_;
  std::vector<Child> children_;
  sigset_t before_{};
  UniqueFd signals_;
  bool leaving_ = false;
};

int Fail(ExitCode code, const char* event, const std::string& error) {
  LogError(Event(event).With("exit", static_cast<int>(code)).With("error", error));
  return code;
}

}  // namespace

int RunOnAllDevices(const SettingsReader& reader, int argc, char** argv) {
  const bool journal = StderrIsJournal();
  const std::shared_ptr<LogSink> early = InstallLog({.journal = journal}, "info");
  if (std::getenv("NOTIFY_SOCKET") != nullptr) {
    return Fail(
        kUsage, "no-daemons",
        "--device all under a service manager, which watches one daemon; do: start one unit "
        "for each, as nvcv-cached@cuda:0");
  }
  PrepareCudaEnvironment("all");
  const absl::StatusOr<const CudaDriver*> driver = CudaDriver::Load();
  if (!driver.ok()) {
    return Fail(kNoDevice, "no-device",
                absl::StrCat("--device all: ", std::string(driver.status().message()),
                             "; do: look at nvidia-smi, or use --device host"));
  }
  absl::StatusOr<std::vector<DeviceInfo>> gpus = ListGpus(**driver);
  if (!gpus.ok()) return Fail(kNoDevice, "no-device", std::string(gpus.status().message()));
  if (gpus->empty()) return Fail(kNoDevice, "no-device", "--device all: no GPU is there");
  // What is wrong with the settings is said once, before there is any daemon.
  const absl::StatusOr<DaemonSettings> settings = reader.Read(gpus->front());
  if (!settings.ok()) return Fail(kUsage, "settings", std::string(settings.status().message()));
  const std::shared_ptr<LogSink> log =
      InstallLog({.format = settings->log_format == "json" ? LogFormat::kJson : LogFormat::kText,
                  .journal = journal},
                 settings->log_level);
  std::vector<std::string> ids;
  for (const DeviceInfo& gpu : *gpus) ids.push_back(gpu.id);
  LogInfo(Event("all-devices").With("pid", ::getpid()).With("devices", absl::StrJoin(ids, " ")));
  return Family(ids, argc, argv).Run();
}

}  // namespace nvcv_cached::server
