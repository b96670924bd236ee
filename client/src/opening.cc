#include "client/src/opening.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/autostart.h"
#include "client/src/daemon_socket.h"
#include "client/src/errors.h"
#include "client/src/fork_guard.h"
#include "client/src/log.h"
#include "client/src/wait_scope.h"

namespace nvcv_cached::client {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long another starter's daemon is believed to come before one is started again.
constexpr milliseconds kFirstPatience{250};
constexpr milliseconds kMostPatience{2000};

// Waiting does not mend a daemon that cannot be started: unlike UNAVAILABLE, this is not tried
// again.
absl::Status NotStarted(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return status;
  return WithHint(
      ForceCode(absl::FailedPreconditionError(status.message()), ErrorCode::kUnavailable),
      HintOf(status));
}

absl::StatusOr<std::unique_ptr<Link>> OpenAt(const Opening& opening, const Address& address,
                                             Clock::time_point deadline) {
  return Link::Open({.path = address.path,
                     .name = opening.settings.name,
                     .device = opening.settings.device,
                     .session_limit_bytes = opening.session_limit_bytes,
                     .strict_streams = opening.settings.strict_streams},
                    deadline, opening.call_keeper);
}

// Several may start one at once: the daemons' lock lets one live, and the others' starters wait for
// it. Should that one be on its way out, or die, the next start makes another.
absl::StatusOr<std::unique_ptr<Link>> StartAndOpen(const Opening& opening, const Settings& settings,
                                                   const Address& address) {
  const Clock::time_point deadline = Clock::now() + kStartTimeout;
  Log(LogLevel::kInfo, absl::StrCat("starting a daemon at ", address.path));
  absl::StatusOr<StartedDaemon> daemon = StartedDaemon::Start(settings, address);
  if (!daemon.ok()) return NotStarted(daemon.status());
  milliseconds patience = kFirstPatience;
  Clock::time_point start_again = Clock::time_point::max();
  while (true) {
    absl::StatusOr<std::unique_ptr<Link>> link = OpenAt(opening, address, deadline);
    // A daemon that another starter made may be refusing, or leaving, at this moment.
    if (link.ok() || !(absl::IsNotFound(link.status()) || absl::IsAborted(link.status()) ||
                       absl::IsUnavailable(link.status()))) {
      return link;
    }
    if (absl::Status running = daemon->Check(); !running.ok()) return NotStarted(running);
    if (Clock::now() >= deadline) {
      return NotStarted(daemon->DidNotAnswer(kStartTimeout, link.status().message()));
    }
    if (daemon->found_another()) {
      start_again = std::min(start_again, Clock::now() + patience);
      if (Clock::now() >= start_again) {
        daemon = StartedDaemon::Start(settings, address);
        if (!daemon.ok()) return NotStarted(daemon.status());
        patience = std::min(patience * 2, kMostPatience);
        start_again = Clock::time_point::max();
      }
    }
    if (WaitInterrupted()) return absl::CancelledError("interrupted while a daemon was starting");
    std::this_thread::sleep_for(milliseconds(5));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Link>> OpenLink(const Opening& opening) {
  const Settings& settings = opening.settings;
  ConnectAttempt attempt;
  absl::StatusOr<Address> address = opening.system_socket
                                        ? Address{.path = *opening.system_socket, .is_system = true}
                                        : FindAddress(settings);
  if (!address.ok()) return address.status();
  absl::StatusOr<std::unique_ptr<Link>> link = OpenAt(opening, *address, opening.deadline);
  if (!absl::IsNotFound(link.status())) return link;
  if (opening.may_start && settings.autostart && !address->is_system) {
    Settings starting = settings;
    if (starting.device.empty()) {
      if (absl::Status chosen = ChooseDefaultDevice(starting); !chosen.ok()) return chosen;
    }
    return StartAndOpen(opening, starting, *address);
  }
  return WithHint(absl::NotFoundError(absl::StrCat(
                      "no daemon", settings.device.empty() ? "" : " for ", settings.device, " at ",
                      address->path, ": ", link.status().message(),
                      opening.was_connected ? "; tensors you hold stay valid" : "")),
                  HintForMissing(*address, settings));
}

}  // namespace nvcv_cached::client
