#include "server/foreign/foreign_slabs.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/foreign/socket_inode.h"

namespace nvcv_cached::server {
namespace {

bool IsItself(const RecordedSession& session) {
  return session.pid > 0 && session.started != 0 && ProcessStart(session.pid) == session.started;
}

bool Counts(const RecordedSession& session) {
  if (session.socket != 0) {
    if (const std::optional<bool> held = SocketExists(session.socket)) return *held;
  }
  return IsItself(session);
}

// The inodes of the slabs that a process maps; nullopt: we may not look.
std::optional<std::set<uint64_t>> MappedInodes(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/maps"));
  std::set<uint64_t> inodes;
  std::string line;
  bool any = false;
  while (std::getline(file, line)) {
    any = true;
    if (!absl::StrContains(line, "/memfd:nvcv-cached-slab-")) continue;
    // address rights offset device inode path
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    uint64_t inode = 0;
    if (words.size() > 5 && absl::SimpleAtoi(words[4], &inode)) inodes.insert(inode);
  }
  if (!any) return std::nullopt;
  return inodes;
}

}  // namespace

uint64_t ProcessStart(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  if (!std::getline(file, line)) return 0;
  // The program's name may hold anything, but the last ')' ends it; the 20th word after it is ours.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  const std::vector<absl::string_view> words =
      absl::StrSplit(absl::string_view(line).substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kStart = 19;
  uint64_t start = 0;
  if (words.size() <= kStart || !absl::SimpleAtoi(words[kStart], &start)) return 0;
  return start;
}

ForeignSlabs LookForForeignSlabs(SlabRecord& record) {
  ForeignSlabs foreign;
  std::set<std::pair<uint64_t, SlabId>> counted;
  for (const auto& [key, session] : record.Earlier()) {
    if (!Counts(session)) {
      record.DropEarlier(key);
      continue;
    }
    const bool lives = IsItself(session);
    // A GPU's slabs have no inode, and the list of a CUDA process's mappings is long.
    const bool has_inodes = std::any_of(session.slabs.begin(), session.slabs.end(),
                                        [](const auto& slab) { return slab.second.inode != 0; });
    std::optional<std::set<uint64_t>> mapped;
    if (lives && has_inodes) mapped = MappedInodes(session.pid);
    bool any = false;
    for (const auto& [slab, recorded] : session.slabs) {
      if (mapped && recorded.inode != 0 && !mapped->contains(recorded.inode)) continue;
      any = true;
      if (counted.emplace(key.epoch, slab).second) foreign.bytes += recorded.size_bytes;
    }
    if (any && lives) foreign.pids.insert(session.pid);
  }
  record.Flush();
  return foreign;
}

}  // namespace nvcv_cached::server
