#include "server/rpc/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/socket_paths.h"

namespace nvcv_cached::server {
namespace {

constexpr int kBacklog = 1024;

absl::Status Failed(const std::string& path, const char* call) {
  const int error = errno;
  const std::string text = absl::StrCat("socket ", path, ": ", call, ": ", std::strerror(error));
  if (error == EACCES || error == EPERM || error == EROFS) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

}  // namespace

absl::StatusOr<Listener> Listener::Make(const std::string& path, mode_t mode,
                                        std::optional<gid_t> group) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("socket ", path, ": ", path.size(),
                                                   " bytes, at most ", sizeof(address.sun_path) - 1,
                                                   " fit"));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "socket ", path, ": there is something else; do: remove it, or name another"));
    }
    if (::unlink(path.c_str()) != 0) return Failed(path, "unlink of a stale socket");
  }
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Failed(path, "socket");
  // bind's mode is cut by the umask, so it is set afterwards; until listen nobody can connect.
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return Failed(path, "bind");
  }
  if (::lstat(path.c_str(), &info) != 0) return Failed(path, "lstat");
  Listener listener(path, info.st_ino, std::move(fd));
  if (group && ::lchown(path.c_str(), static_cast<uid_t>(-1), *group) != 0) {
    return Failed(path, "chown to the group");
  }
  if (::chmod(path.c_str(), mode) != 0) return Failed(path, "chmod");
  if (::listen(listener.fd(), kBacklog) != 0) return Failed(path, "listen");
  return listener;
}

Listener::~Listener() {
  if (!fd_ || !inode_) return;
  struct stat info {};
  if (::lstat(path_.c_str(), &info) == 0 && info.st_ino == inode_) ::unlink(path_.c_str());
}

absl::StatusOr<ListeningSockets> MakeListeningSockets(const std::string& path, mode_t mode,
                                                      std::optional<gid_t> group) {
  if (absl::Status status = CheckSocketPath(path); !status.ok()) return status;
  absl::StatusOr<Listener> session = Listener::Make(path, mode, group);
  if (!session.ok()) return session.status();
  absl::StatusOr<Listener> descriptor =
      Listener::Make(absl::StrCat(path, std::string(kDescriptorSuffix)), mode, group);
  if (!descriptor.ok()) return descriptor.status();
  return ListeningSockets{*std::move(session), *std::move(descriptor)};
}

}  // namespace nvcv_cached::server
