#include "client/cli/failure.h"

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "client/src/errors.h"

namespace nvcv_cached::cli {

namespace {

// Messages of daemon and library end with what to do.
struct Message {
  std::string what, hint;
};
Message Split(const std::string& text) {
  const size_t at = text.find("; do: ");
  if (at == std::string::npos) return {text, ""};
  return {text.substr(0, at), text.substr(at + 6)};
}

}  // namespace

Failure Failure::Of(const grpc::Status& status, const std::string& socket) {
  const auto [what, hint] = Split(socket + ": " + status.error_message());
  auto or_else = [&hint = hint](const char* usual) { return hint.empty() ? usual : hint; };
  switch (status.error_code()) {
    case grpc::StatusCode::PERMISSION_DENIED:
      return {ExitCode::kNotPermitted, "permission_denied", what,
              or_else("run it as the daemon's user or as root")};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {ExitCode::kNotServing, "no_answer", socket + ": no answer in time",
              "check that process, or raise --timeout"};
    case grpc::StatusCode::UNAVAILABLE:
      return {ExitCode::kNoDaemon, "no_daemon", what,
              or_else("check what listens there; nvcv-cachectl start starts a daemon")};
    case grpc::StatusCode::UNIMPLEMENTED:
      return {ExitCode::kFailed, "not_a_daemon", what,
              "this socket belongs to another program or to another version of nvcv-cached"};
    case grpc::StatusCode::INVALID_ARGUMENT:
      return {ExitCode::kUsage, "invalid_argument", what, hint};
    case grpc::StatusCode::NOT_FOUND:
      return {ExitCode::kFailed, "not_found", what, hint};
    default:
      return {ExitCode::kFailed, "failed", what, hint};
  }
}

Failure Failure::Of(const absl::Status& status, const std::string& where) {
  auto [what, hint] = Split(where + ": " + std::string(status.message()));
  if (hint.empty()) hint = client::HintOf(status);
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return {ExitCode::kUsage, "invalid_argument", what, hint};
    case absl::StatusCode::kPermissionDenied:
      return {ExitCode::kNotPermitted, "permission_denied", what, hint};
    default:
      return {ExitCode::kFailed, "failed", what, hint};
  }
}

Failure Failure::Lost(int error) {
  return {ExitCode::kFailed, "write_failed",
          std::string("the output could not be written: ") +
              (error != 0 ? std::strerror(error) : "the error came earlier"),
          "make room where it goes, or send it elsewhere"};
}

void Print(const Failure& failure, Output output) {
  if (output == Output::kJson) {
    const nlohmann::ordered_json error{
        {"error",
         {{"code", failure.name()}, {"message", failure.what()}, {"hint", failure.hint()}}}};
    std::fprintf(
        stderr, "%s\n",
        error.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
    return;
  }
  std::fprintf(stderr, "nvcv-cachectl: %s\n", failure.what());
  if (!failure.hint().empty()) std::fprintf(stderr, "next: %s\n", failure.hint().c_str());
}

}  // namespace nvcv_cached::cli
