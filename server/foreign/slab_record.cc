#include "server/foreign/slab_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace nvcv_cached::server {
namespace {

// Written anew beyond this; a file beyond kMostBytes is not ours.
constexpr size_t kLongBytes = size_t{1} << 20;
constexpr off_t kMostBytes = off_t{64} << 20;

std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id.empty() ? "unknown" : id;
}

std::string SessionLine(const SessionKey& key, const RecordedSession& session) {
  return absl::StrCat("session ", key.epoch, " ", key.session, " ", session.pid, " ",
                      session.started, " ", session.witness, "\n");
}

std::string MapLine(const SessionKey& key, SlabId slab, const RecordedSlab& recorded) {
  return absl::StrCat("map ", key.epoch, " ", key.session, " ", slab, " ", recorded.size_bytes, " ",
                      recorded.inode, "\n");
}

std::optional<std::string> ReadOwn(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_uid != ::geteuid() || status.st_size > kMostBytes) {
    return std::nullopt;
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  const ssize_t count = ::pread(fd.get(), text.data(), text.size(), 0);
  text.resize(count < 0 ? 0 : static_cast<size_t>(count));
  return text;
}

// A line that a killed daemon did not finish, or that is none of ours, says nothing.
void Apply(absl::string_view line, RecordedSessions& sessions) {
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  std::array<uint64_t, 5> numbers{};
  if (words.size() < 3 || words.size() > numbers.size() + 1) return;
  for (size_t i = 1; i < words.size(); ++i) {
    if (!absl::SimpleAtoi(words[i], &numbers[i - 1])) return;
  }
  const SessionKey key{.epoch = numbers[0], .session = numbers[1]};
  if (words[0] == "session" && words.size() == 6) {
    sessions[key] = {.pid = static_cast<pid_t>(numbers[2]),
                     .started = numbers[3],
                     .witness = numbers[4],
                     .slabs = {}};
    return;
  }
  const auto found = sessions.find(key);
  if (found == sessions.end()) return;
  if (words[0] == "map" && words.size() == 6) {
    found->second.slabs[numbers[2]] = {.size_bytes = numbers[3], .inode = numbers[4]};
  } else if (words[0] == "unmap" && words.size() == 4) {
    found->second.slabs.erase(numbers[2]);
  } else if (words[0] == "end" && words.size() == 3) {
    sessions.erase(found);
  }
}

RecordedSessions Read(const std::string& path) {
  RecordedSessions sessions;
  const std::optional<std::string> text = ReadOwn(path);
  if (!text) return sessions;
  std::vector<absl::string_view> lines = absl::StrSplit(*text, '\n');
  lines.pop_back();  // what no line feed ends is not whole
  if (lines.empty() || lines.front() != absl::StrCat("boot ", BootId())) return sessions;
  for (const absl::string_view line : lines) Apply(line, sessions);
  std::erase_if(sessions, [](const auto& entry) { return entry.second.slabs.empty(); });
  return sessions;
}

bool WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace

SlabRecord::SlabRecord(std::string path, uint64_t epoch)
    : path_(std::move(path)), epoch_(epoch), sessions_(Read(path_)) {
  std::lock_guard flushing(flushing_);
  WriteAnew();
}

SlabRecord::~SlabRecord() {
  Flush();
  Retry();
  std::erase_if(sessions_, [](const auto& entry) { return entry.second.slabs.empty(); });
  if (sessions_.empty()) ::unlink(path_.c_str());
}

absl::Status SlabRecord::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

RecordedSessions SlabRecord::Earlier() const {
  std::lock_guard lock(mutex_);
  RecordedSessions earlier;
  for (const auto& [key, session] : sessions_) {
    if (key.epoch != epoch_) earlier.emplace(key, session);
  }
  return earlier;
}

void SlabRecord::DropEarlier(const SessionKey& key) {
  std::lock_guard lock(mutex_);
  End(key);
}

void SlabRecord::NoteSession(SessionId session, const RecordedSession& recorded) {
  std::lock_guard lock(mutex_);
  const SessionKey key{.epoch = epoch_, .session = session};
  sessions_[key] = recorded;
  Append(SessionLine(key, recorded));
}

void SlabRecord::NoteMapped(SessionId session, SlabId slab, const RecordedSlab& recorded) {
  std::lock_guard lock(mutex_);
  const SessionKey key{.epoch = epoch_, .session = session};
  const auto found = sessions_.find(key);
  if (found == sessions_.end()) return;
  found->second.slabs[slab] = recorded;
  Append(MapLine(key, slab, recorded));
}

void SlabRecord::NoteUnmapped(SessionId session, SlabId slab) {
  std::lock_guard lock(mutex_);
  const auto found = sessions_.find({.epoch = epoch_, .session = session});
  if (found == sessions_.end() || found->second.slabs.erase(slab) == 0) return;
  Append(absl::StrCat("unmap ", epoch_, " ", session, " ", slab, "\n"));
}

void SlabRecord::NoteEnded(SessionId session) {
  std::lock_guard lock(mutex_);
  End({.epoch = epoch_, .session = session});
}

void SlabRecord::End(const SessionKey& key) {
  if (sessions_.erase(key) != 0) Append(absl::StrCat("end ", key.epoch, " ", key.session, "\n"));
}

void SlabRecord::Append(const std::string& line) {
  if (status_.ok()) waiting_ += line;
}

void SlabRecord::Flush() {
  std::lock_guard flushing(flushing_);
  std::string text;
  {
    std::lock_guard lock(mutex_);
    text.swap(waiting_);
  }
  if (text.empty()) return;
  written_bytes_ += text.size();
  if (written_bytes_ > kLongBytes || !WriteAll(file_.get(), text)) WriteAnew();
}

void SlabRecord::Retry() {
  std::lock_guard flushing(flushing_);
  if (!status().ok()) WriteAnew();
}

bool SlabRecord::Replace(const std::string& text) {
  const std::string fresh = absl::StrCat(path_, ".new");
  ::unlink(fresh.c_str());
  UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file && WriteAll(file.get(), text) && ::rename(fresh.c_str(), path_.c_str()) == 0) {
    file_ = std::move(file);
    written_bytes_ = 0;
    return true;
  }
  const int error = errno;
  ::unlink(fresh.c_str());
  errno = error;
  return false;
}

void SlabRecord::WriteAnew() {
  std::string text = absl::StrCat("boot ", BootId(), "\n");
  bool was_ok = false;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, session] : sessions_) {
      absl::StrAppend(&text, SessionLine(key, session));
      for (const auto& [slab, recorded] : session.slabs) {
        absl::StrAppend(&text, MapLine(key, slab, recorded));
      }
    }
    // What is noted from here on is not in the text.
    waiting_.clear();
    was_ok = std::exchange(status_, absl::OkStatus()).ok();
  }
  const bool is_ok = Replace(text);
  if (!is_ok) {
    const int error = errno;
    std::lock_guard lock(mutex_);
    waiting_.clear();  // is in sessions_
    status_ = absl::ErrnoToStatus(error, absl::StrCat("record of slabs ", path_));
  }
  if (is_ok != was_ok && observer_) observer_();
}

}  // namespace nvcv_cached::server
