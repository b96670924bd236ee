// Starting a daemon for this user when there is none.
//
// The daemon is no child of this process: it lives in a session of its own, with its output in the
// log beside its socket, without this process's descriptors and without its NVCV_CACHED_*
// variables, and leaves when nobody has used it for a while. Starters may race: each starts one,
// the daemon's own lock lets one live, and the others' exit code says so. Thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/src/daemon_socket.h"
#include "client/src/options.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::client {

// The program: NVCV_CACHED_DAEMON, else beside this library (same folder, ../bin), else on PATH.
// NOT_FOUND lists where it looked.
absl::StatusOr<std::string> FindDaemon(const Settings& settings);

// A started daemon's time to answer.
inline constexpr std::chrono::milliseconds kStartTimeout{10000};

class StartedDaemon {
 public:
  // Begins to start it.
  static absl::StatusOr<StartedDaemon> Start(const Settings& settings, const Address& address);

  // OK while it runs, or when another one was faster; else UNAVAILABLE with the exit code, the
  // log's last lines and the log's path.
  absl::Status Check();

  // It ended because another daemon serves there, as Check saw.
  bool found_another() const;

  // UNAVAILABLE, as Check's: it had `time` to answer, and did not; `found` says how that showed.
  absl::Status DidNotAnswer(std::chrono::milliseconds time, absl::string_view found) const;

 private:
  StartedDaemon(std::string program, std::string socket_path, std::string log_path,
                UniqueFd exit_report);
  absl::Status Failed(absl::string_view found) const;
  std::string LogTail() const;

  std::string program_;
  std::string socket_path_;
  std::string log_path_;
  UniqueFd exit_report_;  // its wait status arrives here if it ends while this object lives
  std::optional<int> wait_status_;
};

}  // namespace nvcv_cached::client
