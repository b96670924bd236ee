#include "client/cli/daemons.h"

#include <grp.h>
#include <grpcpp/create_channel_posix.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "client/cli/users.h"
#include "proto/socket_paths.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::cli {

namespace {

[[noreturn]] void NoDaemon(const std::string& wanted, const std::string& looked) {
  throw Failure(
      ExitCode::kNoDaemon, "no_daemon",
      "no nvcv-cached" + (wanted.empty() ? "" : " for " + wanted) + " (looked in " + looked + ")",
      "nvcv-cachectl start, or sudo systemctl start nvcv-cached@" +
          (wanted.empty() ? "host" : wanted));
}

// Who may connect is written on the socket, if one may look at it.
[[noreturn]] void NotPermitted(const std::string& path) {
  std::string message = path + ": you are uid " + std::to_string(::geteuid());
  std::string hint = "run it as the daemon's user or as root";
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    const group* entry = ::getgrgid(info.st_gid);
    const std::string group = entry != nullptr ? entry->gr_name : std::to_string(info.st_gid);
    if ((info.st_mode & 0060) == 0060) {
      message += ", it wants uid " + std::to_string(info.st_uid) + " or group " + group;
      hint = "sudo usermod -aG " + group + " " + UserName(::geteuid()) + ", then log in again";
    } else {
      message += ", it wants uid " + std::to_string(info.st_uid);
    }
  }
  throw Failure(ExitCode::kNotPermitted, "permission_denied", message, hint);
}

UniqueFd Connect(const std::string& path) {
  if (absl::Status status = CheckSocketPath(path); !status.ok()) {
    throw Failure::Of(status, "--address");
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return fd;
  }
  const int error = errno;
  if (error == EACCES || error == EPERM) NotPermitted(path);
  if (error == EAGAIN) {
    throw Failure(ExitCode::kNotServing, "no_answer", path + ": too many wait to connect already",
                  "check that process: it does not accept connections");
  }
  throw Failure(ExitCode::kNoDaemon, "no_daemon",
                "no nvcv-cached at " + path + ": " + std::strerror(error),
                "nvcv-cachectl start, or sudo systemctl start nvcv-cached@host");
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
  UniqueFd fd = Connect(socket_);
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) pid_ = peer.pid;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // a report has as many rows as there are leases
  stub_ = v1::Admin::NewStub(
      grpc::CreateCustomInsecureChannelFromFd("nvcv-cached", fd.release(), arguments));
}

bool Names(const std::string& name, const std::string& device, int index) {
  if (name.empty() || name == device) return true;
  if (name.rfind("cuda:", 0) == 0) return name == "cuda:" + std::to_string(index);
  // The first digits of a UUID are enough for people.
  return name.size() >= 8 && device.rfind(name, 0) == 0;
}

bool Daemon::IsFor(const std::string& device) const {
  const bool by_index = device.rfind("cuda:", 0) == 0;
  return Names(device, std::filesystem::path(socket_).stem(),
               by_index ? Stats().device().index() : -1);
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
    const std::string name = std::filesystem::path(file).filename();
    return name.rfind(options.device, 0) != 0;
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
  if (!daemons.empty()) return daemons;
  if (denied) throw Failure(*denied);
  NoDaemon(options.device, SystemSocketDirectory() + ", " + UserSocketDirectory());
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
