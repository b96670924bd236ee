#include "tests/contract/process.h"

#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <vector>

extern char** environ;

namespace nvcv_cached::contract {

namespace {

std::vector<std::string> Environment(const std::string& daemon_socket) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, "NVCV_CACHED_", 12) != 0) environment.push_back(*entry);
  }
  environment.push_back("NVCV_CACHED_ADDRESS=" + daemon_socket);
  environment.push_back("NVCV_CACHED_DEVICE=host");
  environment.push_back("NVCV_CACHED_AUTOSTART=0");
  environment.push_back("NVCV_CACHED_TIMEOUT=60m");
  environment.push_back("NVCV_CACHED_LOG=off");
  return environment;
}

void Send(const UniqueFd& socket, const Command& command) {
  if (::send(socket.get(), &command, sizeof command, MSG_NOSIGNAL) != sizeof command) {
    throw std::system_error(errno, std::generic_category(), "a command to a worker");
  }
}

}  // namespace

Process::Process(const std::string& daemon_socket, const UniqueFd& clock) {
  const std::string program =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "contract_worker";
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, clock.get(), kClockDescriptor);
  std::array<UniqueFd, kThreads + 1> theirs;
  for (size_t i = 0; i < sockets_.size(); ++i) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
      throw std::system_error(errno, std::generic_category(), "socketpair");
    }
    sockets_[i] = UniqueFd(pair[0]);
    theirs[i] = UniqueFd(pair[1]);
    ::posix_spawn_file_actions_adddup2(&actions, pair[1], kFirstSocket + static_cast<int>(i));
  }
  std::vector<std::string> environment = Environment(daemon_socket);
  std::vector<char*> pointers;
  for (std::string& entry : environment) pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  char* arguments[] = {const_cast<char*>(program.c_str()), nullptr};
  const int error =
      ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, pointers.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), program);
}

Process::~Process() {
  if (pid_ > 0) Kill();
}

Reply Process::Ask(const UniqueFd& socket, const Command& command) {
  Send(socket, command);
  Reply reply;
  if (::recv(socket.get(), &reply, sizeof reply, 0) != sizeof reply) {
    throw std::runtime_error("a worker died over a command");
  }
  if (!reply.error_text().empty()) throw std::runtime_error(std::string(reply.error_text()));
  return reply;
}

Reply Process::Do(int thread, const Command& command) {
  return Ask(sockets_[static_cast<size_t>(thread) + 1], command);
}

void Process::Start(int thread) {
  Ask(sockets_[0], {.op = Op::kStart, .at = static_cast<uint8_t>(thread)});
}

void Process::Leave(int thread) {
  Send(sockets_[static_cast<size_t>(thread) + 1], {.op = Op::kLeave});
  Ask(sockets_[0], {.op = Op::kJoin, .at = static_cast<uint8_t>(thread)});
}

uint64_t Process::Look() { return Ask(sockets_[0], {.op = Op::kLook}).detached; }

int Process::Exit() {
  Send(sockets_[0], {.op = Op::kExit});
  return Wait();
}

void Process::Kill() {
  ::kill(pid_, SIGKILL);
  Wait();
}

int Process::Wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

}  // namespace nvcv_cached::contract
