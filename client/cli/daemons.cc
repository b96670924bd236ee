#include "client/cli/daemons.h"

#include <grpcpp/create_channel_posix.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "client/cli/device_index.h"
#include "client/src/daemon_socket.h"
#include "client/src/errors.h"
#include "proto/cuda_driver.h"
#include "proto/socket_paths.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

[[noreturn]] void NoDaemon(const std::string& wanted, const std::string& looked) {
  throw Failure(
      ExitCode::kNoDaemon, "no_daemon",
      "no nvcv-cached" + (wanted.empty() ? "" : " for " + wanted) + " (looked in " + looked + ")",
      StartHint(wanted));
}

client::Connected Connect(const std::string& path, std::chrono::milliseconds timeout) {
  absl::StatusOr<client::Connected> connected =
      client::ConnectTo(path, std::chrono::steady_clock::now() + timeout);
  if (connected.ok()) return *std::move(connected);
  const absl::Status& status = connected.status();
  const std::string message(status.message());
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      throw Failure(ExitCode::kNoDaemon, "no_daemon", "no nvcv-cached at " + path + ": " + message,
                    "nvcv-cachectl start --address " + path + ", or systemctl start its unit");
    case absl::StatusCode::kPermissionDenied:
      throw Failure(ExitCode::kNotPermitted, "permission_denied", message, client::HintOf(status));
    case absl::StatusCode::kDeadlineExceeded:
      throw Failure(ExitCode::kNotServing, "no_answer", message, "check that process");
    default:
      throw Failure::Of(status, "--address");
  }
}

// In the directories where daemons listen, sorted.
std::vector<std::string> FilesWith(const std::string& extension) {
  std::set<std::string> found;
  for (const std::string& directory : {SystemSocketDirectory(), UserSocketDirectory()}) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
      if (entry.path().extension() == extension) found.insert(entry.path().string());
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace

Daemon::Daemon(std::string socket, std::chrono::milliseconds timeout)
    : socket_(std::move(socket)), timeout_(timeout) {
  client::Connected connected = Connect(socket_, timeout_);
  pid_ = connected.pid;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // a report has as many rows as there are leases
  stub_ = v1::Admin::NewStub(grpc::CreateCustomInsecureChannelFromFd(
      "nvcv-cached", connected.socket.release(), arguments));
}

std::string Daemon::device() const { return DeviceOf(socket_); }

void Daemon::Fail(const grpc::Status& status) const {
  if (status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED) {
    throw Failure::Of(status, socket_);
  }
  throw Failure(ExitCode::kNotServing, "no_answer",
                socket_ + ": no answer in " + FormatDuration(timeout_) + " from " +
                    client::DescribeProcess(pid_),
                "check that process, or raise --timeout");
}

std::string Whose(const Daemon& daemon, const std::vector<Daemon>& daemons) {
  return daemons.size() > 1 ? daemon.device() + ": " : "";
}

std::string StartHint(const std::string& device) {
  const std::string named = device.empty() ? "" : " -d " + device;
  const std::string unit = !device.empty() ? device : CudaDriver::IsInstalled() ? "cuda:0" : "host";
  return "nvcv-cachectl start" + named + ", or sudo systemctl start nvcv-cached@" + unit;
}

bool Names(const std::string& name, const std::string& device, int index) {
  if (name.empty() || name == device) return true;
  if (name.rfind("cuda:", 0) == 0) return name == "cuda:" + std::to_string(index);
  // The first digits of a UUID are enough for people.
  return name.size() >= 8 && device.rfind(name, 0) == 0;
}

bool Daemon::IsFor(const std::string& device) const {
  const bool by_index = device.rfind("cuda:", 0) == 0;
  return Names(device, DeviceOf(socket_), by_index ? Stats().device().index() : -1);
}

std::vector<std::string> Sockets(const GlobalOptions& options) {
  if (!options.address.empty()) return {options.address};
  return FilesWith(".sock");
}

std::vector<std::string> LastStatsFiles(const GlobalOptions& options) {
  const std::string suffix(kLastSuffix);
  if (!options.address.empty()) return {options.address + suffix};
  std::vector<std::string> files = FilesWith(suffix);
  std::erase_if(files, [&](const std::string& file) {
    const std::string socket = file.substr(0, file.size() - suffix.size());
    return !NamesAbsent(options.device, DeviceOf(socket), socket);
  });
  return files;
}

std::vector<Daemon> DaemonsToRead(const GlobalOptions& options) {
  std::vector<Daemon> daemons;
  std::optional<Failure> denied;
  for (const std::string& socket : Sockets(options)) {
    try {
      Daemon daemon(socket, options.timeout);
      if (!options.address.empty() || daemon.IsFor(options.device)) {
        daemons.push_back(std::move(daemon));
      }
    } catch (const Failure& failure) {
      if (!options.address.empty()) throw;
      if (failure.code() != ExitCode::kNoDaemon) denied = failure;
    }
  }
  // All means all: one that is there and cannot be reached is not passed over.
  if (denied && (daemons.empty() || options.all)) throw Failure(*denied);
  if (!daemons.empty()) return daemons;
  NoDaemon(options.device, SocketDirectories());
}

std::vector<Daemon> DaemonsToChange(const GlobalOptions& options) {
  std::vector<Daemon> daemons = DaemonsToRead(options);
  if (daemons.size() > 1 && !options.all) {
    std::string names;
    for (const Daemon& daemon : daemons) names += " " + daemon.socket();
    throw Failure(ExitCode::kUsage, "ambiguous", "several daemons:" + names,
                  "name one with -d or --address, or all with --all");
  }
  return daemons;
}

}  // namespace nvcv_cached::cli
