// From command line, environment and file to one set of settings; what start, --check-config and
// a reload share. Reads the file anew at each call. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/command_line.h"
#include "server/config/daemon_settings.h"
#include "server/config/sources.h"

namespace nvcv_cached::server {

class SettingsReader {
 public:
  // `activated`: where the service manager's socket is; nobody may name another. "": there is none.
  SettingsReader(CommandLine command_line, char** variables, std::string activated = "");

  // Before the device is known; "" when nobody names one. INVALID_ARGUMENT.
  absl::StatusOr<std::string> Device() const;
  // INVALID_ARGUMENT; also when a file that was asked for is not there.
  absl::StatusOr<DaemonSettings> Read(const DeviceInfo& device) const;

  Scope scope() const { return scope_; }
  const std::vector<std::string>& unknown_variables() const { return environment_.unknown; }

 private:
  absl::StatusOr<ConfigFile> File() const;
  Sourced ConfigPath() const;

  const CommandLine command_line_;
  const Environment environment_;
  const Scope scope_;
  const std::string activated_;
};

// The lines of --check-config, and after them what is odd and allowed.
std::string Describe(const DaemonSettings& settings,
                     const std::vector<std::string>& unknown_variables);

}  // namespace nvcv_cached::server
