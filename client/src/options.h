// What a process asked for: Options given to connect() first, then the environment, then defaults.
//
// Invariant: `device` names a socket: "host" or a GPU's UUID, or it is empty: whatever the daemon
// at `address` has. `timeout` is positive and bounded. Values, not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "nvcv_cached/device.h"

namespace nvcv_cached::client {

struct Settings {
  std::string device = "host";
  std::string device_asked;   // as it was written; empty: nobody named one
  std::string device_name;    // for people
  uint64_t device_bytes = 0;  // of a GPU
  bool strict_streams = false;
  std::optional<std::string> address;  // a socket's path, named by the user
  std::string name;
  std::chrono::milliseconds timeout{5000};
  bool autostart = true;
  std::optional<std::string> daemon;  // the program to start
};

// INVALID_ARGUMENT names the variable or option; DEVICE_ERROR: a GPU that this process does not
// see, or a driver that fails. A device that is not "host" starts the driver, but makes no context.
absl::StatusOr<Settings> ReadSettings(const Options& options);

// The current GPU; without a driver, or a GPU for this process, host. DEVICE_ERROR: a driver that
// fails.
absl::Status ChooseDefaultDevice(Settings& settings);

// INVALID_ARGUMENT when `options` ask for something other than `settings`.
absl::Status CheckSame(const Settings& settings, const Options& options);

}  // namespace nvcv_cached::client
