// The places where daemons listen.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string>

#include "client/cli/device_index.h"
#include "client/cli/doctor/checks.h"
#include "proto/socket_paths.h"

namespace nvcv_cached::cli {

namespace {

std::string Octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof(text), "%04o", mode & 07777);
  return text;
}

std::string OwnerAndMode(const struct stat& info) {
  return "belongs to uid " + std::to_string(info.st_uid) + " with mode " + Octal(info.st_mode);
}

// Who may write there may put a socket of his own in a daemon's place.
void CheckSystemFolder(const std::string& folder, Report& report) {
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) return report.Ok("folder", folder + " is not there");
  if (!S_ISDIR(info.st_mode)) {
    return report.Fail("folder", folder + " is no folder", "sudo rm " + folder);
  }
  if ((info.st_mode & 022) != 0) {
    return report.Fail(
        "folder",
        folder + " " + OwnerAndMode(info) + ": others could put a socket in a daemon's place",
        "sudo chmod 0755 " + folder);
  }
  if ((info.st_mode & 0011) != 0011) {
    return report.Warn("folder", folder + " " + OwnerAndMode(info) + ": not everybody may enter",
                       "sudo chmod 0755 " + folder);
  }
  report.Ok("folder", folder + " " + OwnerAndMode(info));
}

void CheckUserFolder(const std::string& folder, Report& report) {
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) return report.Ok("folder", folder + " is not there");
  if (S_ISDIR(info.st_mode) && info.st_uid == ::geteuid() && (info.st_mode & 077) == 0) {
    return report.Ok("folder", folder + " " + OwnerAndMode(info));
  }
  const std::string found = S_ISDIR(info.st_mode) ? OwnerAndMode(info) : "is no folder";
  const bool mine = S_ISDIR(info.st_mode) && info.st_uid == ::geteuid();
  report.Fail(
      "folder",
      folder + " " + found + "; wanted uid " + std::to_string(::geteuid()) + " with mode 0700",
      mine ? "chmod 0700 " + folder : "remove it, or set XDG_RUNTIME_DIR");
}

}  // namespace

void CheckSocketFolders(Report& report) {
  CheckSystemFolder(SystemSocketDirectory(), report);
  CheckUserFolder(UserSocketDirectory(), report);
}

std::vector<Daemon> CheckSockets(const GlobalOptions& options, Report& report) {
  std::vector<Daemon> daemons;
  bool refused = false;
  for (const std::string& socket : Sockets(options)) {
    try {
      Daemon daemon(socket, options.timeout);
      if (!options.address.empty() || daemon.IsFor(options.device)) {
        report.Ok("socket", socket + ": you may connect");
        daemons.push_back(std::move(daemon));
      }
    } catch (const Failure& failure) {
      if (failure.code() == ExitCode::kNoDaemon && options.address.empty()) {
        report.Warn("socket", socket + ": nobody listens there any more",
                    "rm " + socket + " " + socket + std::string(kDescriptorSuffix));
      } else {
        // The check's own name would be there twice.
        const std::string what = failure.what();
        report.Fail("socket", what.rfind("socket ", 0) == 0 ? what.substr(7) : what,
                    failure.hint());
        refused = true;
      }
    }
  }
  if (!daemons.empty() || refused) return daemons;  // all is said
  const std::string found = "no daemon answers (looked in " + SocketDirectories() + ")";
  const std::string hint = StartHint(options.device);
  if (options.device.empty()) {
    report.Warn("daemon", found, hint);
  } else {
    report.Fail("daemon", found, hint);
  }
  return daemons;
}

}  // namespace nvcv_cached::cli
