#include "client/src/autostart.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/src/errors.h"
#include "proto/socket_paths.h"
#include "proto/units.h"

namespace nvcv_cached::client {

namespace {

constexpr char kProgram[] = "nvcv-cached";
constexpr int kExitAnotherDaemon = 3;
constexpr int kExitCannotExec = 127;
constexpr size_t kTailLines = 5;

bool IsProgram(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }

// The daemon starts in another working directory.
std::string Resolved(const std::string& path) {
  char resolved[PATH_MAX];
  return ::realpath(path.c_str(), resolved) == nullptr ? path : resolved;
}

// The folder of the file that this code was loaded from.
std::string OwnFolder() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&OwnFolder), &info) == 0) return "";
  const std::string path = Resolved(info.dli_fname);
  return path.substr(0, path.rfind('/'));
}

// The process's environment, null after clearenv(). A plain `environ` may be another one: a program
// can have a copy of its own (Debian's python3 does), and a library loaded with RTLD_DEEPBIND (this
// one, by Python) is bound to libc's, which then stays null.
char** Environment() {
  auto* const variables = static_cast<char***>(::dlsym(RTLD_DEFAULT, "environ"));
  return variables == nullptr ? nullptr : *variables;
}

std::vector<std::string> EnvironmentForDaemon() {
  std::vector<std::string> kept;
  for (char** variable = Environment(); variable != nullptr && *variable != nullptr; ++variable) {
    if (!absl::StartsWith(*variable, "NVCV_CACHED_")) kept.emplace_back(*variable);
  }
  return kept;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Everything below runs between fork and exec of a process with threads: system calls only.

[[noreturn]] void ExecDaemon(const char* program, char** arguments, char** variables, int log) {
  ::setsid();
  int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  if (::chdir("/") != 0) ::_exit(kExitCannotExec);
  ::execve(program, arguments, variables);
  ::_exit(kExitCannotExec);
}

// A go-between is the daemon's parent until the starter has seen enough, so that the daemon ends up
// as nobody's child here, and its exit code is known until then.
[[noreturn]] void GoBetween(const char* program, char** arguments, char** variables, int log,
                            int report) {
  ::setsid();
  ::dup2(report, STDERR_FILENO + 1);
  ::dup2(log, STDERR_FILENO + 2);
  report = STDERR_FILENO + 1;
  log = STDERR_FILENO + 2;
  ::close_range(log + 1, ~0U, 0);
  ::signal(SIGCHLD, SIG_DFL);
  pid_t daemon = ::_Fork();
  if (daemon == 0) ExecDaemon(program, arguments, variables, log);
  int status = kExitCannotExec << 8;
  // The starter closes its end when it is content or dead; 20 ms is how late its exit code may be
  // known.
  while (daemon > 0) {
    pid_t ended = ::waitpid(daemon, &status, WNOHANG);
    if (ended == daemon || (ended < 0 && errno != EINTR)) break;
    pollfd starter{report, POLLERR, 0};
    if (::poll(&starter, 1, 20) > 0) ::_exit(0);
  }
  [[maybe_unused]] ssize_t written = ::write(report, &status, sizeof(status));
  ::_exit(0);
}

}  // namespace

absl::StatusOr<std::string> FindDaemon(const Settings& settings) {
  if (settings.daemon) {
    if (IsProgram(*settings.daemon)) return Resolved(*settings.daemon);
    return absl::NotFoundError(
        absl::StrCat("NVCV_CACHED_DAEMON=", *settings.daemon, ": ", std::strerror(errno)));
  }
  std::vector<std::string> looked;
  if (std::string folder = OwnFolder(); !folder.empty()) {
    looked.push_back(absl::StrCat(folder, "/", kProgram));
    looked.push_back(absl::StrCat(folder, "/../bin/", kProgram));
    looked.push_back(absl::StrCat(folder, "/../../bin/", kProgram));  // lib/<multiarch>
  }
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    for (const auto& folder : absl::StrSplit(path, ':', absl::SkipEmpty())) {
      looked.push_back(absl::StrCat(folder, "/", kProgram));
    }
  }
  for (const std::string& candidate : looked) {
    if (IsProgram(candidate)) return Resolved(candidate);
  }
  return absl::NotFoundError(
      absl::StrCat("no program nvcv-cached in ", absl::StrJoin(looked, ", ")));
}

StartedDaemon::StartedDaemon(std::string program, std::string socket_path, std::string log_path,
                             UniqueFd exit_report)
    : program_(std::move(program)),
      socket_path_(std::move(socket_path)),
      log_path_(std::move(log_path)),
      exit_report_(std::move(exit_report)) {}

absl::StatusOr<StartedDaemon> StartedDaemon::Start(const Settings& settings,
                                                   const Address& address) {
  absl::StatusOr<std::string> program = FindDaemon(settings);
  if (!program.ok()) {
    return WithHint(absl::UnavailableError(absl::StrCat("no daemon at ", address.path, ", and ",
                                                        program.status().message())),
                    "install nvcv-cached, or name it in NVCV_CACHED_DAEMON");
  }
  if (address.is_users_own) {
    absl::Status made = MakeUserSocketDirectory(address.path.substr(0, address.path.rfind('/')));
    if (!made.ok()) return made;
  }
  std::string log_path =
      absl::StrCat(address.path, absl::string_view(kLogSuffix.data(), kLogSuffix.size()));
  UniqueFd log(
      ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  int ends[2];
  if (!log || ::pipe2(ends, O_CLOEXEC) != 0) {
    return WithHint(
        absl::UnavailableError(absl::StrCat("no daemon at ", address.path, ", and the log of one, ",
                                            log_path,
                                            ", cannot be opened: ", std::strerror(errno))),
        absl::StrCat("make the directory ", address.path.substr(0, address.path.rfind('/')),
                     " and the right to write there, or name a socket elsewhere"));
  }
  UniqueFd report(ends[0]), reporter(ends[1]);

  std::vector<std::string> arguments = {
      *program, "--device", settings.device, "--socket", address.path, "--idle-exit", "10m"};
  std::vector<std::string> variables = EnvironmentForDaemon();
  std::vector<char*> argument_pointers = Pointers(arguments);
  std::vector<char*> variable_pointers = Pointers(variables);

  // No handler of the application may run in the child.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t child = ::_Fork();
  if (child == 0) {
    // First away from the numbers that the go-between gives its descriptors.
    int high_log = ::fcntl(log.get(), F_DUPFD, 16);
    int high_report = ::fcntl(reporter.get(), F_DUPFD, 16);
    pid_t go_between = ::_Fork();
    if (go_between != 0) ::_exit(go_between < 0 ? 1 : 0);
    GoBetween(program->c_str(), argument_pointers.data(), variable_pointers.data(), high_log,
              high_report);
  }
  int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) {
    return WithHint(
        absl::UnavailableError(absl::StrCat("starting ", *program, ": ", std::strerror(error))),
        "raise this user's or container's limit of processes (ulimit -u, pids.max)");
  }
  // It ends at once. ECHILD: the application ignores SIGCHLD, or waits for everything.
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return StartedDaemon(*std::move(program), address.path, std::move(log_path), std::move(report));
}

absl::Status StartedDaemon::Check() {
  if (!wait_status_) {
    pollfd state{exit_report_.get(), POLLIN, 0};
    int status = 0;
    if (::poll(&state, 1, 0) <= 0) return absl::OkStatus();
    if (::read(exit_report_.get(), &status, sizeof(status)) != sizeof(status)) {
      status = kExitCannotExec << 8;
    }
    wait_status_ = status;
  }
  if (found_another()) return absl::OkStatus();
  return Failed(WIFSIGNALED(*wait_status_)
                    ? absl::StrCat("was killed by signal ", WTERMSIG(*wait_status_))
                    : absl::StrCat("exited with code ", WEXITSTATUS(*wait_status_)));
}

bool StartedDaemon::found_another() const {
  return wait_status_ && WIFEXITED(*wait_status_) &&
         WEXITSTATUS(*wait_status_) == kExitAnotherDaemon;
}

absl::Status StartedDaemon::DidNotAnswer(std::chrono::milliseconds time,
                                         absl::string_view found) const {
  return Failed(absl::StrCat(found_another() ? absl::StrCat("exited with code ", kExitAnotherDaemon,
                                                            ": another daemon has the lock, which")
                                             : "is running, but",
                             " did not answer in ", FormatDuration(time), " (", found, ")"));
}

absl::Status StartedDaemon::Failed(absl::string_view found) const {
  return WithHint(absl::UnavailableError(absl::StrCat("no daemon at ", socket_path_,
                                                      ", and the one started, ", program_, ", ",
                                                      found, "; log ", log_path_, ": ", LogTail())),
                  absl::StrCat("read the log, or run ", program_, " by hand"));
}

std::string StartedDaemon::LogTail() const {
  std::ifstream file(log_path_);
  file.seekg(0, std::ios::end);
  std::streamoff size = file.tellg();
  file.seekg(size > 4096 ? size - 4096 : 0);
  std::ostringstream text;
  text << file.rdbuf();
  std::vector<std::string> lines = absl::StrSplit(text.str(), '\n', absl::SkipWhitespace());
  size_t first = lines.size() > kTailLines ? lines.size() - kTailLines : 0;
  if (lines.empty()) return "(empty)";
  return absl::StrJoin(lines.begin() + static_cast<std::ptrdiff_t>(first), lines.end(), " | ");
}

}  // namespace nvcv_cached::client
