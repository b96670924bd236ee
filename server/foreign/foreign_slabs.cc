#include "server/foreign/foreign_slabs.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/foreign/process_stat.h"

namespace nvcv_cached::server {
namespace {

bool Lives(const RecordedSession& session) {
  const std::optional<ProcessStat> process = ReadProcessStat(session.pid);
  return process && session.started != 0 && process->started == session.started;
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

// One process may have had many sessions: its mappings are read once a look.
class MapsOfProcesses {
 public:
  const std::optional<std::set<uint64_t>>& Of(pid_t pid) {
    const auto [entry, is_new] = known_.try_emplace(pid);
    if (is_new) entry->second = MappedInodes(pid);
    return entry->second;
  }

 private:
  std::map<pid_t, std::optional<std::set<uint64_t>>> known_;
};

// What can be seen of one session's slabs.
class Sight {
 public:
  Sight(const RecordedSession& session, const std::optional<HeldFiles>& held, MapsOfProcesses& maps)
      : held_(held), lives_(Lives(session)) {
    counts_ = held && session.witness != 0 ? held->contains(session.witness) : lives_;
    // A GPU's slabs have no inode, and the list of a CUDA process's mappings is long.
    const bool has_inodes = std::any_of(session.slabs.begin(), session.slabs.end(),
                                        [](const auto& slab) { return slab.second.inode != 0; });
    if (lives_ && has_inodes) mapped_ = maps.Of(session.pid);
  }

  bool IsHeld(const RecordedSlab& slab) const {
    if (held_ && !held_->is_complete()) return true;  // until it is known that nobody has it
    if (slab.inode == 0) return counts_;
    // Either says so: a mark can be lifted, and a mapping is not all that holds memory.
    if (held_) return held_->contains(slab.inode) || (mapped_ && mapped_->contains(slab.inode));
    return lives_ && MayMap(slab);
  }
  // Of a slab that somebody holds: may it be this session's process?
  bool MayMap(const RecordedSlab& slab) const {
    return lives_ && (slab.inode == 0 || !mapped_ || mapped_->contains(slab.inode));
  }

 private:
  const std::optional<HeldFiles>& held_;
  const bool lives_;
  bool counts_ = false;
  std::optional<std::set<uint64_t>> mapped_;
};

}  // namespace

ForeignSlabs LookForForeignSlabs(SlabRecord& record, const HeldFiles::Where& where) {
  ForeignSlabs foreign;
  const RecordedSessions earlier = record.Earlier();
  if (earlier.empty()) return foreign;
  const std::optional<HeldFiles> held = HeldFiles::Look(where);
  MapsOfProcesses maps;
  std::set<std::pair<uint64_t, SlabId>> counted;
  for (const auto& [key, session] : earlier) {
    const Sight sight(session, held, maps);
    bool any = false;
    for (const auto& [slab, recorded] : session.slabs) {
      if (!sight.IsHeld(recorded)) continue;
      any = true;
      if (sight.MayMap(recorded)) foreign.pids.insert(session.pid);
      if (counted.emplace(key.epoch, slab).second) foreign.bytes += recorded.size_bytes;
    }
    if (any) {
      foreign.look_again = true;
    } else {
      record.DropEarlier(key);
    }
  }
  record.Flush();
  return foreign;
}

}  // namespace nvcv_cached::server
