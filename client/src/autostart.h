// Starting a daemon for this user when there is none.
//
// The daemon is no child of this process: it lives in a session of its own, with its output in the
// log beside its socket, without this process's descriptors and without its NVCV_CACHED_*
// variables, and leaves when nobody has used it for a while. Starters may race: each starts one,
// the daemon's own lock lets one live, and the others' exit code says so. Thread-safe.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/daemon_socket.h"
#include "client/src/options.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::client {

// The program: NVCV_CACHED_DAEMON, else beside this library (same folder, ../bin), else on PATH.
// NOT_FOUND lists where it looked.
absl::StatusOr<std::string> FindDaemon(const Settings& settings);

class StartedDaemon {
 public:
  // Begins to start it.
  static absl::StatusOr<StartedDaemon> Start(const Settings& settings, const Address& address);

  // OK while it runs, or when another one was faster; else UNAVAILABLE with the exit code, the
  // log's last lines and the log's path.
  absl::Status Check();

  const std::string& log_path() const { return log_path_; }
  std::string LogTail() const;

 private:
  StartedDaemon(std::string program, std::string log_path, UniqueFd exit_report);

  std::string program_;
  std::string log_path_;
  UniqueFd exit_report_;  // its wait status arrives here if it ends while this object lives
  std::optional<int> wait_status_;
};

}  // namespace nvcv_cached::client
