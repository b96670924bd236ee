#include "client/src/daemon_socket.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/src/errors.h"
#include "proto/socket_paths.h"

namespace nvcv_cached::client {

namespace {

using Clock = std::chrono::steady_clock;

std::string GroupName(gid_t gid) {
  std::vector<char> buffer(65536);
  group entry{};
  group* found = nullptr;
  if (::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->gr_name;
  }
  return absl::StrCat(gid);
}

absl::Status NotPermitted(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return WithHint(
        absl::PermissionDeniedError(absl::StrFormat(
            "socket %s: you are uid %d and may not enter its directory", path, ::geteuid())),
        "look at the modes of the path's directories");
  }
  const std::string group = GroupName(info.st_gid);
  const std::string user = UserName(::geteuid());
  if ((info.st_mode & S_IWGRP) != 0) {
    return WithHint(absl::PermissionDeniedError(absl::StrFormat(
                        "socket %s: you are uid %d, it wants group %s", path, ::geteuid(), group)),
                    absl::StrFormat("sudo usermod -aG %s %s, then log in again", group, user));
  }
  return WithHint(
      absl::PermissionDeniedError(absl::StrFormat(
          "socket %s: you are uid %d (%s), it belongs to uid %d (%s) alone, mode %04o", path,
          ::geteuid(), user, info.st_uid, UserName(info.st_uid), info.st_mode & 07777)),
      "unset NVCV_CACHED_ADDRESS to use a daemon of your own, or ask that user for mode 0660");
}

}  // namespace

std::string UserName(uid_t uid) {
  std::vector<char> buffer(4096);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return absl::StrCat(uid);
}

bool IsSystemSocket(const std::string& path) {
  return absl::StartsWith(path, absl::StrCat(SystemSocketDirectory(), "/"));
}

absl::StatusOr<Address> FindAddress(const Settings& settings) {
  if (settings.address) {
    return Address{.path = *settings.address, .is_system = IsSystemSocket(*settings.address)};
  }
  std::string system_path = SocketPath(SystemSocketDirectory(), settings.device);
  struct stat info {};
  if (::lstat(system_path.c_str(), &info) == 0) {
    return Address{.path = std::move(system_path), .is_system = true};
  }
  const std::string directory = UserSocketDirectory();
  std::string path = SocketPath(directory, settings.device);
  if (absl::Status status = CheckSocketPath(path); !status.ok()) return status;
  // Somebody else's directory of that name must not lend us memory.
  if (::lstat(directory.c_str(), &info) == 0) {
    if (absl::Status status = MakeUserSocketDirectory(directory); !status.ok()) return status;
  }
  return Address{.path = std::move(path), .is_users_own = true};
}

absl::StatusOr<Connected> ConnectTo(const std::string& path, Clock::time_point deadline) {
  if (absl::Status status = CheckSocketPath(path); !status.ok()) return status;
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) {
    return WithHint(
        absl::ResourceExhaustedError(absl::StrCat("making a socket: ", std::strerror(errno))),
        "raise this process's RLIMIT_NOFILE");
  }
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  while (::connect(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0) {
    if (errno == EACCES || errno == EPERM) return NotPermitted(path);
    if (errno != EAGAIN && errno != EINTR) {
      return absl::NotFoundError(absl::AsciiStrToLower(std::strerror(errno)));
    }
    // The line of connections not yet accepted is full; the kernel offers nothing to wait for.
    if (Clock::now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("socket ", path, ": whoever listens there accepts no connection"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  Connected connected{.socket = std::move(socket)};
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(connected.socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
    connected.pid = peer.pid;
    connected.uid = peer.uid;
  }
  return connected;
}

std::string DescribeProcess(pid_t pid) {
  if (pid <= 0) return "the daemon (in another PID namespace)";
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  size_t name_end = line.rfind(") ");  // the name may hold anything, parentheses too
  if (name_end == std::string::npos || name_end + 2 >= line.size()) {
    return absl::StrCat("pid ", pid, " (no longer there)");
  }
  return absl::StrCat("pid ", pid, " (state ", line.substr(name_end + 2, 1), ")");
}

std::string HintForMissing(const Address& address, const Settings& settings) {
  if (address.is_system) return absl::StrCat("systemctl status nvcv-cached@", settings.device);
  if (!settings.autostart) {
    return absl::StrCat("start nvcv-cached --device ",
                        settings.device.empty() ? "DEVICE" : settings.device, " --socket ",
                        address.path, ", or set NVCV_CACHED_AUTOSTART=1");
  }
  return "nvcv-cachectl start";
}

}  // namespace nvcv_cached::client
