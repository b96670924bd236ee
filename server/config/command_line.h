// The command line: one flag for each key, and --system, --check-config, --completion,
// --help, --version.
// Pure function of its arguments.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "server/config/sources.h"

namespace nvcv_cached::server {

struct CommandLine {
  Source flags;
  bool system = false;
  bool check_config = false;
};

// A text to print instead of running: --help, --version, --completion.
using Information = std::string;

// INVALID_ARGUMENT: says which flag, and what may have been meant.
absl::StatusOr<std::variant<CommandLine, Information>> ParseCommandLine(int argc,
                                                                        const char* const* argv);

}  // namespace nvcv_cached::server
