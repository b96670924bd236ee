// How a command fails: an exit code, and what went wrong, why, and what to do next.
//
// Commands throw a Failure, main() prints it: on stderr as text, or as {"error": {...}} with -o
// json. Immutable.
#pragma once

#include <grpcpp/support/status.h>

#include <stdexcept>
#include <string>

#include "absl/status/status.h"
#include "client/cli/options.h"

namespace nvcv_cached::cli {

enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,  // refused or failed
  kUsage = 2,
  kNotServing = 3,  // there, but starting, draining, or not answering
  kNoDaemon = 4,
  kNotPermitted = 5,
};

class Failure final : public std::runtime_error {
 public:
  Failure(ExitCode code, std::string name, const std::string& message, std::string hint = "")
      : std::runtime_error(message), code_(code), name_(std::move(name)), hint_(std::move(hint)) {}

  ExitCode code() const { return code_; }
  const std::string& name() const { return name_; }  // "no_daemon", as in the JSON
  const std::string& hint() const { return hint_; }

  // The failure of a call to the daemon at `socket`.
  static Failure Of(const grpc::Status& status, const std::string& socket);
  // Of what somebody wrote after `where`: a flag, a command.
  static Failure Of(const absl::Status& status, const std::string& where);
  // Output that got lost, for this errno (0: not known).
  static Failure Lost(int error);

 private:
  ExitCode code_;
  std::string name_, hint_;
};

void Print(const Failure& failure, Output output);

}  // namespace nvcv_cached::cli
