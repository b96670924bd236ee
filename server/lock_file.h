// The lock that makes a daemon the only one on its device and socket directory.
//
// <directory>/<device>.sock.lock, held by flock for as long as the process lives. It says who holds
// it (pid, socket) and counts the daemons that ever did: the epoch, one more at each start.
//
// Invariant: two daemons never hold the same path, and no two holders have the same epoch as long
// as the file is not removed. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::server {

class LockFile {
 public:
  // ALREADY_EXISTS: another daemon holds it, with its pid and socket; PERMISSION_DENIED: no right
  // to it; DATA_LOSS: it is not ours to read, and the epoch with it.
  static absl::StatusOr<LockFile> Take(const std::string& path, const std::string& socket);

  uint64_t epoch() const { return epoch_; }

 private:
  LockFile(UniqueFd fd, uint64_t epoch) : fd_(std::move(fd)), epoch_(epoch) {}

  UniqueFd fd_;
  uint64_t epoch_;
};

}  // namespace nvcv_cached::server
