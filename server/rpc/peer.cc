#include "server/rpc/peer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/foreign/process_stat.h"

namespace nvcv_cached::server {
namespace {

constexpr int kSoPeerPidfd = 77;  // SO_PEERPIDFD, Linux 6.5

bool Readable(int fd) {
  pollfd poll_fd{fd, POLLIN, 0};
  return ::poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLIN | POLLHUP)) != 0;
}

bool HungUp(int socket) {
  pollfd poll_fd{socket, POLLRDHUP, 0};
  return ::poll(&poll_fd, 1, 0) > 0;
}

bool NoDescriptorLeft() {
  UniqueFd another(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return !another && (errno == EMFILE || errno == ENFILE);
}

std::optional<uint64_t> StartTime(pid_t pid) {
  const std::optional<ProcessStat> stat = ReadProcessStat(pid);
  if (!stat) return std::nullopt;
  return stat->started;
}

std::optional<uid_t> EffectiveUid(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("Uid:", 0) != 0) continue;
    std::istringstream fields(line.substr(4));
    uid_t real = 0, effective = 0;
    if (fields >> real >> effective) return effective;
  }
  return std::nullopt;
}

UniqueFd PidfdOfSocket(int socket) {
  const char* forced = std::getenv("NVCV_CACHED_TEST_NO_PEERPIDFD");
  if (forced != nullptr && std::strcmp(forced, "1") == 0) return UniqueFd();
  int pidfd = -1;
  socklen_t size = sizeof(pidfd);
  if (::getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &pidfd, &size) != 0) return UniqueFd();
  return UniqueFd(pidfd);
}

// The pid may be used again around pidfd_open: the start time must be the same before and after,
// the uid that of the connection, and the socket's other end still open when all of that has been
// seen.
UniqueFd PidfdOfPid(int socket, const ucred& credentials) {
  const pid_t pid = credentials.pid;
  const std::optional<uint64_t> before = StartTime(pid);
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd || !before || EffectiveUid(pid) != credentials.uid || StartTime(pid) != before) {
    return UniqueFd();
  }
  if (HungUp(socket) || Readable(pidfd.get())) return UniqueFd();
  return pidfd;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Peer>> ReadPeer(int socket) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return absl::UnavailableError(absl::StrCat("SO_PEERCRED: ", std::strerror(errno)));
  }
  auto peer = std::make_shared<Peer>();
  peer->pid = credentials.pid;
  peer->uid = credentials.uid;
  peer->gid = credentials.gid;
  peer->pidfd = PidfdOfSocket(socket);
  if (!peer->pidfd && peer->pid > 0) {
    peer->pidfd = PidfdOfPid(socket, credentials);
    if (!peer->pidfd && NoDescriptorLeft()) {
      return absl::ResourceExhaustedError("no descriptor left for a pidfd");
    }
    if (!peer->pidfd) return absl::UnavailableError("the peer is gone");
  }
  if (!peer->pidfd) {
    peer->refusal = absl::PermissionDeniedError(
        "the peer's pid is 0 here: it is in another PID namespace and this kernel cannot name it "
        "(SO_PEERPIDFD, Linux 6.5); do: share the PID namespace (hostPID), or use a newer kernel");
  }
  return peer;
}

bool HasExited(const Peer& peer) { return !peer.pidfd || Readable(peer.pidfd.get()); }

bool SameProcess(const Peer& a, const Peer& b) {
  if (a.pid != b.pid || !a.pidfd || !b.pidfd || HasExited(a) || HasExited(b)) return false;
  // Since Linux 6.9 a pidfd has one inode for each process; before, all share one.
  struct stat first {
  }, second{};
  if (::fstat(a.pidfd.get(), &first) != 0 || ::fstat(b.pidfd.get(), &second) != 0) return false;
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

void PeerRegistry::Add(int fd, std::shared_ptr<const Peer> peer) {
  std::lock_guard lock(mutex_);
  peers_[fd] = std::move(peer);
}

void PeerRegistry::Remove(int fd, const Peer* peer) {
  std::lock_guard lock(mutex_);
  auto found = peers_.find(fd);
  if (found != peers_.end() && found->second.get() == peer) peers_.erase(found);
}

absl::StatusOr<std::shared_ptr<const Peer>> PeerRegistry::Find(std::string_view name) const {
  constexpr std::string_view kPrefix = "fd:";
  int fd = -1;
  if (name.substr(0, kPrefix.size()) == kPrefix) {
    const std::string_view digits = name.substr(kPrefix.size());
    if (std::from_chars(digits.data(), digits.data() + digits.size(), fd).ptr !=
        digits.data() + digits.size()) {
      fd = -1;
    }
  }
  std::lock_guard lock(mutex_);
  auto found = peers_.find(fd);
  if (found == peers_.end()) {
    return absl::UnavailableError(absl::StrCat("connection ", std::string(name), " is not known"));
  }
  if (!found->second->refusal.ok()) return found->second->refusal;
  return found->second;
}

}  // namespace nvcv_cached::server
