#include "server/lock_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace nvcv_cached::server {
namespace {

// Versions of lease words begin at epoch << 40 and have 61 bits.
constexpr uint64_t kMaxEpoch = (uint64_t{1} << 21) - 1;
constexpr size_t kBytes =
    512;  // always written whole, so that a killed writer leaves no half of it

struct Content {
  uint64_t epoch = 0;
  pid_t pid = 0;
  std::string socket;
};

// An empty file is a new one.
absl::StatusOr<Content> Read(int fd, const std::string& path) {
  std::array<char, kBytes> buffer{};
  const ssize_t count = ::pread(fd, buffer.data(), buffer.size(), 0);
  Content content;
  if (count == 0) return content;
  absl::string_view text(buffer.data(), static_cast<size_t>(std::max<ssize_t>(count, 0)));
  bool has_epoch = false;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "epoch=")) {
      has_epoch = absl::SimpleAtoi(line, &content.epoch) && content.epoch <= kMaxEpoch;
    } else if (absl::ConsumePrefix(&line, "pid=")) {
      (void)absl::SimpleAtoi(line, &content.pid);
    } else if (absl::ConsumePrefix(&line, "socket=")) {
      content.socket = std::string(line);
    }
  }
  if (has_epoch) return content;
  return absl::DataLossError(absl::StrCat(
      path, " names no epoch; do: stop the clients of earlier daemons there, then remove it"));
}

bool Write(int fd, const Content& content) {
  std::array<char, kBytes> buffer;
  buffer.fill('\n');
  const std::string text = absl::StrCat("epoch=", content.epoch, "\npid=", content.pid,
                                        "\nsocket=", content.socket, "\n");
  if (text.size() > buffer.size()) return false;
  std::memcpy(buffer.data(), text.data(), text.size());
  return ::pwrite(fd, buffer.data(), buffer.size(), 0) == static_cast<ssize_t>(buffer.size());
}

bool IsAlive(pid_t pid) { return pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM); }

// The holder may have taken the lock this very moment and not have written its name yet.
absl::Status HeldByAnother(int fd, const std::string& path) {
  absl::StatusOr<Content> content;
  for (int look = 0; look < 50; ++look) {
    content = Read(fd, path);
    if (content.ok() && IsAlive(content->pid)) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (!content.ok()) return absl::AlreadyExistsError(absl::StrCat("another daemon holds ", path));
  return absl::AlreadyExistsError(absl::StrCat(
      "another daemon serves this device: pid ", content->pid, " at ", content->socket, " (lock ",
      path, "); do: use it, stop it with nvcv-cachectl stop, or choose another socket directory"));
}

// Somebody may have removed the file between our open and our flock.
bool IsStillThere(int fd, const std::string& path) {
  struct stat ours {
  }, theirs{};
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &theirs) == 0 &&
         ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

}  // namespace

absl::StatusOr<LockFile> LockFile::Take(const std::string& path, const std::string& socket) {
  UniqueFd fd;
  do {
    fd.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600));
    if (!fd) {
      return absl::PermissionDeniedError(
          absl::StrCat("lock ", path, ": ", std::strerror(errno), "; you are uid ", ::geteuid(),
                       "; do: make its directory, or choose another socket"));
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return HeldByAnother(fd.get(), path);
      return absl::PermissionDeniedError(absl::StrCat("lock ", path, ": ", std::strerror(errno)));
    }
  } while (!IsStillThere(fd.get(), path));

  absl::StatusOr<Content> content = Read(fd.get(), path);
  if (!content.ok()) return content.status();
  if (content->epoch == kMaxEpoch) {
    return absl::DataLossError(absl::StrCat(
        path,
        ": all epochs are used; do: stop the clients of earlier daemons there, then remove it"));
  }
  ++content->epoch;
  content->pid = ::getpid();
  content->socket = socket;
  if (!Write(fd.get(), *content)) {
    return absl::PermissionDeniedError(absl::StrCat("lock ", path, ": ", std::strerror(errno)));
  }
  return LockFile(std::move(fd), content->epoch);
}

}  // namespace nvcv_cached::server
