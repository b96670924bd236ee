// Finding the daemon's socket, connecting to it, and saying in a user's words why that did not
// work. Functions of the file system and /proc. Thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/options.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::client {

struct Address {
  std::string path;
  bool is_system = false;     // of the system's daemon: its operator starts it, never a client
  bool is_users_own = false;  // in the directory of this user
};

bool IsSystemSocket(const std::string& path);

// The named one; else the system's socket if there is one; else the user's. PERMISSION_DENIED: the
// user's directory belongs to somebody else.
absl::StatusOr<Address> FindAddress(const Settings& settings);

struct Connected {
  UniqueFd socket;
  pid_t pid = 0;  // of whoever listens, as this process sees it; 0: in another PID namespace
  uid_t uid = 0;
};

// NOT_FOUND: nobody listens there (the text says how that showed); PERMISSION_DENIED with the
// socket's group and what to do; DEADLINE_EXCEEDED: somebody listens and does not accept.
absl::StatusOr<Connected> ConnectTo(const std::string& path,
                                    std::chrono::steady_clock::time_point deadline);

// As people name a user; the number where the name service does not know it.
std::string UserName(uid_t uid);

// "pid 4211 (state T)", as far as it can be seen.
std::string DescribeProcess(pid_t pid);

// What to do when nobody listens at `address`.
std::string HintForMissing(const Address& address, const Settings& settings);

}  // namespace nvcv_cached::client
