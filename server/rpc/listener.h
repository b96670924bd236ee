// A listening Unix socket whose file has exactly the mode and group asked for before anybody can
// connect.
//
// Precondition: the caller holds the daemon's lock for the path, so a socket file that is there is
// stale and is removed; anything else there is an error. The destructor removes the file if it is
// still this socket's. A socket that the service manager made is taken as it is, and stays.
// Thread-safety: none.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::server {

class Listener {
 public:
  // PERMISSION_DENIED: no right to the directory or the group; FAILED_PRECONDITION: something else
  // lies there.
  static absl::StatusOr<Listener> Make(const std::string& path, mode_t mode,
                                       std::optional<gid_t> group);

  // `fd` listens at `path`, which is its maker's.
  static Listener Adopt(std::string path, UniqueFd fd) {
    return Listener(std::move(path), std::nullopt, std::move(fd));
  }

  Listener(Listener&& other) noexcept = default;
  Listener& operator=(Listener&& other) = delete;
  ~Listener();

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  Listener(std::string path, std::optional<ino_t> inode, UniqueFd fd)
      : path_(std::move(path)), inode_(inode), fd_(std::move(fd)) {}

  std::string path_;
  std::optional<ino_t> inode_;  // of the file that goes with us
  UniqueFd fd_;
};

struct ListeningSockets {
  Listener session;
  Listener descriptor;  // its path is the session's with ".fd"
};

// As Listener::Make, for both.
absl::StatusOr<ListeningSockets> MakeListeningSockets(const std::string& path, mode_t mode,
                                                      std::optional<gid_t> group);

}  // namespace nvcv_cached::server
