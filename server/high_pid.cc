#include "server/high_pid.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "server/service_manager.h"

namespace nvcv_cached::server {
namespace {

// Where to go: somewhere in here, so that a clash with a client that sits high as well is gone
// after a restart.
constexpr pid_t kFrom = 4000;
constexpr uint32_t kSpread = 4000;
constexpr int kMostTries = 40'000;  // a namespace whose numbers wrap around early is left as it is

constexpr std::array kPassedOn{SIGTERM, SIGINT, SIGHUP, SIGUSR1};

pid_t Target() {
  uint32_t random = 0;
  (void)!::getrandom(&random, sizeof(random), GRND_NONBLOCK);
  return kFrom + static_cast<pid_t>(random % kSpread);
}

// Uses up one number.
pid_t SpendPid() {
  const pid_t child = ::vfork();  // NOLINT: it does nothing but end
  if (child == 0) ::_exit(0);
  if (child > 0) ::waitpid(child, nullptr, 0);
  return child;
}

// The child's end decides ours: its exit code, or the same signal.
[[noreturn]] void EndAs(int status) {
  if (WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
  ::signal(WTERMSIG(status), SIG_DFL);
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
  ::raise(WTERMSIG(status));
  ::_exit(128 + WTERMSIG(status));  // as pid 1 the signal does nothing
}

[[noreturn]] void StandIn(pid_t daemon, UniqueFd signals, UniqueFd messages) {
  ServiceManager manager;
  while (true) {
    std::array<pollfd, 2> wait{{{signals.get(), POLLIN, 0}, {messages.get(), POLLIN, 0}}};
    if (::poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) ::_exit(1);
    std::array<char, 4096> text;
    while (true) {
      const ssize_t got = ::recv(messages.get(), text.data(), text.size(), MSG_DONTWAIT);
      if (got <= 0) break;
      manager.Send(std::string(text.data(), static_cast<size_t>(got)));
    }
    signalfd_siginfo info{};
    while (::read(signals.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGCHLD) ::kill(daemon, static_cast<int>(info.ssi_signo));
    }
    int status = 0;
    for (pid_t ended; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended == daemon) EndAs(status);
    }
  }
}

}  // namespace

absl::StatusOr<UniqueFd> LeaveLowPids() {
  if (::getpid() >= kLowPids) return UniqueFd();
  const pid_t target = Target();
  pid_t last = ::getpid();
  for (int i = 0; i < kMostTries && last >= 0 && last < target; ++i) last = SpendPid();

  std::array<int, 2> pair{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return absl::InternalError(absl::StrCat("socketpair: ", std::strerror(errno)));
  }
  UniqueFd ours(pair[0]);
  UniqueFd childs(pair[1]);
  sigset_t passed_on;
  sigset_t before;
  sigemptyset(&passed_on);
  for (int signal : kPassedOn) sigaddset(&passed_on, signal);
  sigaddset(&passed_on, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &passed_on, &before);
  const pid_t stand_in = ::getpid();
  const pid_t daemon = ::fork();
  if (daemon < 0) {
    return absl::InternalError(
        absl::StrCat("no child for the daemon: fork: ", std::strerror(errno)));
  }
  if (daemon == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // a daemon whose stand-in was killed drains and leaves
    if (::getppid() != stand_in) ::_exit(1);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    return childs;
  }
  childs.reset();
  UniqueFd signals(::signalfd(-1, &passed_on, SFD_CLOEXEC | SFD_NONBLOCK));
  StandIn(daemon, std::move(signals), std::move(ours));
}

}  // namespace nvcv_cached::server
