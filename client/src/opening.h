// One attempt to get a session: find the socket, connect, and start a daemon if there is none and
// that is wanted.
//
// The status says whether trying again may help: UNAVAILABLE, the daemon itself says not now;
// NOT_FOUND, nobody listens; ABORTED, what listens ended the connection (no daemon, or one that
// just died). Everything else stays as it is. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/src/link.h"
#include "client/src/options.h"

namespace nvcv_cached::client {

struct Opening {
  const Settings& settings;
  std::optional<uint64_t> session_limit_bytes;
  bool may_start = false;      // a daemon; that has a time of its own, beyond the deadline
  bool was_connected = false;  // the process holds memory of an earlier daemon
  // Of the system's daemon that served the process: its next one is waited for there, and none is
  // started in its place.
  std::optional<std::string> system_socket;
  std::chrono::steady_clock::time_point deadline;
  std::function<void()> call_keeper;  // of Link::Open
};

absl::StatusOr<std::unique_ptr<Link>> OpenLink(const Opening& opening);

}  // namespace nvcv_cached::client
