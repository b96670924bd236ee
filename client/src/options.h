// What a process asked for: Options given to connect() first, then the environment, then defaults.
//
// Invariant: `device` is "host" in this build, `timeout` is positive and bounded. Values, not
// thread-safe.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "nvcv_cached/device.h"

namespace nvcv_cached::client {

struct Settings {
  std::string device = "host";
  std::optional<std::string> address;  // a socket's path, named by the user
  std::string name;
  std::chrono::milliseconds timeout{5000};
  bool autostart = true;
  std::optional<std::string> daemon;  // the program to start
  bool device_is_default = false;     // nobody named one
};

// INVALID_ARGUMENT names the variable or option; UNIMPLEMENTED: a device that this build does not
// serve.
absl::StatusOr<Settings> ReadSettings(const Options& options);

// INVALID_ARGUMENT when `options` ask for something other than `settings`.
absl::Status CheckSame(const Settings& settings, const Options& options);

}  // namespace nvcv_cached::client
