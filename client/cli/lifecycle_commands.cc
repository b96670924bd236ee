// start, stop: a daemon of this user's own.
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "client/cli/commands.h"
#include "client/cli/daemons.h"
#include "client/cli/print.h"
#include "client/cli/setting.h"
#include "client/src/autostart.h"
#include "client/src/daemon_socket.h"
#include "client/src/options.h"
#include "proto/unique_fd.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;
using std::chrono::steady_clock;

[[noreturn]] void Fail(const absl::Status& status) { throw Failure::Of(status, "start"); }

void Say(const GlobalOptions& options, const std::string& what, const std::string& socket,
         int64_t pid) {
  if (options.output == Output::kJson) {
    return Print(std::vector<Json>{{{"state", what}, {"socket", socket}, {"pid", pid}}});
  }
  Print(what + " pid " + std::to_string(pid) + " at " + socket + "\n");
}

// Waits until `done`, at most for `limit`.
template <class Condition>
bool Within(std::chrono::milliseconds limit, Condition done) {
  const auto deadline = steady_clock::now() + limit;
  while (!done()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

void Start(const GlobalOptions& options) {
  nvcv_cached::Options asked;
  if (!options.address.empty()) asked.address = options.address;
  if (!options.device.empty()) asked.device = options.device;
  const auto settings = client::ReadSettings(asked);
  if (!settings.ok()) Fail(settings.status());
  const auto address = client::FindAddress(*settings);
  if (!address.ok()) Fail(address.status());
  const auto listening = [&] {
    return client::ConnectTo(address->path, steady_clock::now() + std::chrono::seconds(1)).ok();
  };
  const bool already = listening();
  if (!already) {
    auto started = client::StartedDaemon::Start(*settings, *address);
    if (!started.ok()) Fail(started.status());
    absl::Status status;
    const bool up = Within(client::kStartTimeout, [&] {
      status = started->Check();
      return !status.ok() || listening();
    });
    if (!status.ok()) Fail(status);
    if (!up) {
      Fail(started->DidNotAnswer(client::kStartTimeout, "nobody listens there"));
    }
  }
  const Daemon daemon(address->path, options.timeout);
  Say(options, already ? "already running" : "started", address->path, daemon.Stats().pid());
}

// How long a daemon may take to end: its drain-timeout, and a little.
std::chrono::milliseconds StopTimeout(const v1::Stats& stats) {
  const auto timeout = ParseDuration(SettingNamed(stats, "drain-timeout").value());
  if (!timeout.ok()) return std::chrono::seconds(60);
  return timeout->value_or(std::chrono::hours(24)) + std::chrono::seconds(5);
}

void Stop(const GlobalOptions& options) {
  for (const Daemon& daemon : DaemonsToChange(options)) {
    const v1::Stats stats = daemon.Stats();
    const pid_t pid = daemon.pid();
    if (pid == 0 || pid != stats.pid()) {
      throw Failure(ExitCode::kFailed, "other_namespace",
                    daemon.socket() + ": the daemon lives in another PID namespace, as pid " +
                        std::to_string(stats.pid()) + " there",
                    "stop it there");
    }
    // The pidfd is this very process, whatever becomes of its number.
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process || ::syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, nullptr, 0) != 0) {
      throw Failure(errno == EPERM ? ExitCode::kNotPermitted : ExitCode::kFailed, "failed",
                    "cannot stop pid " + std::to_string(pid) + ": " + std::strerror(errno),
                    "run it as the daemon's user or as root");
    }
    pollfd exited{process.get(), POLLIN, 0};
    const auto timeout = StopTimeout(stats);
    if (::poll(&exited, 1, static_cast<int>(timeout.count())) == 0) {
      throw Failure(
          ExitCode::kNotServing, "not_stopped",
          "pid " + std::to_string(pid) + " is still there after " + FormatDuration(timeout),
          "nvcv-cachectl sessions shows who holds memory");
    }
    Say(options, "stopped", daemon.socket(), pid);
  }
}

}  // namespace

void AddLifecycleCommands(CLI::App& app, const GlobalOptions& options) {
  app.add_subcommand("start", "Starts a daemon for this user, if there is none")
      ->callback([&options] { Start(options); });
  app.add_subcommand("stop", "Asks the daemon to drain and end, and waits for it")
      ->callback([&options] { Stop(options); });
}

}  // namespace nvcv_cached::cli
