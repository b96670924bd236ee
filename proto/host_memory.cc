#include "proto/host_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace nvcv_cached {
namespace {

// v1 writes "no limit" as the largest multiple of a page.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// nullopt: not there, or "max".
std::optional<uint64_t> ReadNumber(const std::string& path) {
  std::optional<std::string> text = ReadFile(path);
  uint64_t number = 0;
  if (!text || !absl::SimpleAtoi(*text, &number) || number >= kNoLimit) return std::nullopt;
  return number;
}

// The number that follows `key` on its line of meminfo or memory.stat.
uint64_t FindNumber(const std::string& text, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, key)) continue;
    std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipWhitespace());
    uint64_t number = 0;
    if (!words.empty() && absl::SimpleAtoi(words[0], &number)) return number;
  }
  return 0;
}

struct Files {
  const char* limit;
  const char* used;
  const char* file_cache;  // line of memory.stat: given up without harm
};
constexpr Files kV2{"memory.max", "memory.current", "inactive_file "};
constexpr Files kV1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "};

// Every folder from the group up to the hierarchy's root bounds. Inside a cgroup namespace the path
// may point outside of what is mounted; then the mount's root is our group.
void Bound(const std::string& mount, std::string group, const Files& files, HostMemory& memory) {
  while (true) {
    const std::string folder = absl::StrCat(mount, group == "/" ? "" : group);
    if (std::optional<uint64_t> limit = ReadNumber(absl::StrCat(folder, "/", files.limit))) {
      const uint64_t used = ReadNumber(absl::StrCat(folder, "/", files.used)).value_or(0);
      const std::string stat = ReadFile(absl::StrCat(folder, "/memory.stat")).value_or("");
      const uint64_t kept = used - std::min(used, FindNumber(stat, files.file_cache));
      memory.free_bytes = std::min(memory.free_bytes, *limit - std::min(*limit, kept));
      if (*limit < memory.total_bytes) {
        memory.total_bytes = *limit;
        memory.bound_by = folder;
      }
    }
    if (group.empty() || group == "/") return;
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

}  // namespace

HostMemory ReadHostMemory(const std::string& root, const std::string& process) {
  const std::string meminfo = ReadFile(absl::StrCat(root, "/proc/meminfo")).value_or("");
  HostMemory memory;
  memory.total_bytes = FindNumber(meminfo, "MemTotal:") * 1024;
  memory.free_bytes = FindNumber(meminfo, "MemAvailable:") * 1024;
  memory.bound_by = "memory of the machine";

  const std::string groups =
      ReadFile(absl::StrCat(root, "/proc/", process, "/cgroup")).value_or("");
  for (absl::string_view line : absl::StrSplit(groups, '\n', absl::SkipEmpty())) {
    // number:controllers:path; v2 has no controllers
    std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    if (parts[1].empty()) {
      Bound(absl::StrCat(root, "/sys/fs/cgroup"), parts[2], kV2, memory);
    }
    for (absl::string_view controller : absl::StrSplit(parts[1], ',')) {
      if (controller == "memory") {
        Bound(absl::StrCat(root, "/sys/fs/cgroup/memory"), parts[2], kV1, memory);
      }
    }
  }
  return memory;
}

}  // namespace nvcv_cached
