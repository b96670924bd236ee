#include "proto/socket_paths.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace nvcv_cached {

namespace {
absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }
}  // namespace

std::string SystemSocketDirectory() { return "/run/nvcv-cached"; }

std::string UserSocketDirectory() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/') return absl::StrCat(runtime, "/nvcv-cached");
  return absl::StrCat("/tmp/nvcv-cached-", ::geteuid());
}

std::string SocketPath(std::string_view directory, std::string_view device) {
  return absl::StrCat(Absl(directory), "/", Absl(device), ".sock");
}

absl::Status CheckSocketPath(std::string_view path) {
  constexpr size_t kLongest = sizeof(sockaddr_un::sun_path) - 1 - kLockSuffix.size();
  if (!path.empty() && path.size() <= kLongest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("socket path of %d bytes (\"%s\"); a Unix socket's path has 1 to 107, with "
                      "our longest suffix %d; "
                      "do: choose a shorter directory",
                      path.size(), Absl(path.substr(0, 120)), kLongest));
}

absl::Status MakeUserSocketDirectory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) == 0) return absl::OkStatus();
  if (errno != EEXIST) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot make ", directory, ": ", std::strerror(errno)));
  }
  struct stat info {};
  if (::lstat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return absl::PermissionDeniedError(absl::StrCat(directory, " is not a directory"));
  }
  if (info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(absl::StrFormat(
        "%s belongs to uid %d with mode %04o; wanted uid %d with mode 0700; do: remove it, or set "
        "XDG_RUNTIME_DIR",
        directory, info.st_uid, info.st_mode & 07777, ::geteuid()));
  }
  return absl::OkStatus();
}

}  // namespace nvcv_cached
