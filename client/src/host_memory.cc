#include "client/src/host_memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace nvcv_cached::client {

namespace {

// "0::/user.slice/..." in /proc/self/cgroup names this process's group of the unified hierarchy.
std::string OwnGroup() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("0::", 0) == 0) return line.substr(3);
  }
  return "/";
}

}  // namespace

uint64_t HostMemoryBytes() {
  uint64_t bytes = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                   static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  // A group is bound by its parents' limits as well.
  for (std::string group = OwnGroup();;) {
    std::ifstream file("/sys/fs/cgroup" + group + (group == "/" ? "" : "/") + "memory.max");
    uint64_t limit = 0;
    if (file >> limit && limit > 0) bytes = std::min(bytes, limit);  // "max" is no number
    if (group.empty() || group == "/") return bytes;
    size_t parent = group.rfind('/');
    group = parent == 0 || parent == std::string::npos ? "/" : group.substr(0, parent);
  }
}

}  // namespace nvcv_cached::client
