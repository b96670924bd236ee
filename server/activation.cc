#include "server/activation.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/socket_paths.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::server {
namespace {

constexpr int kFirst = 3;  // as the protocol has it

// "": not a stream socket that listens at a path.
std::string ListensAt(int fd) {
  int is_listening = 0;
  int type = 0;
  socklen_t size = sizeof(int);
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0 ||
      ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || is_listening == 0 ||
      type != SOCK_STREAM) {
    return "";
  }
  sockaddr_un address{};
  socklen_t length = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
      address.sun_family != AF_UNIX || length <= offsetof(sockaddr_un, sun_path)) {
    return "";
  }
  std::string path(address.sun_path, length - offsetof(sockaddr_un, sun_path));
  path.resize(std::min(path.size(), path.find('\0')));
  return path;
}

bool Prepare(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
         ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

}  // namespace

absl::StatusOr<std::optional<ListeningSockets>> TakeActivatedSockets() {
  const char* pid = std::getenv("LISTEN_PID");
  const char* fds = std::getenv("LISTEN_FDS");
  int count = 0;
  const bool ours = pid != nullptr && fds != nullptr && absl::StrCat(::getpid()) == pid &&
                    absl::SimpleAtoi(fds, &count) && count > 0;
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  if (!ours) return std::nullopt;

  std::vector<std::pair<std::string, int>> found;
  for (int fd = kFirst; count <= 2 && fd < kFirst + count; ++fd) {
    found.emplace_back(ListensAt(fd), fd);
  }
  std::sort(found.begin(), found.end());  // PATH before PATH.fd
  const std::string suffix(kDescriptorSuffix);
  if (found.size() != 2 || found[0].first.empty() ||
      found[1].first != absl::StrCat(found[0].first, suffix)) {
    return absl::InvalidArgumentError(
        absl::StrCat("LISTEN_FDS: ", count, " descriptors",
                     found.empty() ? "" : absl::StrCat(", the first at \"", found[0].first, "\""),
                     "; wanted two stream sockets that listen at PATH and PATH", suffix,
                     "; do: write both as ListenStream= of the .socket unit"));
  }
  for (const auto& [path, fd] : found) {
    if (!Prepare(fd)) return absl::InternalError(absl::StrCat("LISTEN_FDS: fcntl of ", path));
  }
  return ListeningSockets{Listener::Adopt(found[0].first, UniqueFd(found[0].second)),
                          Listener::Adopt(found[1].first, UniqueFd(found[1].second))};
}

}  // namespace nvcv_cached::server
