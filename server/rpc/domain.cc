#include "server/rpc/domain.h"

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace nvcv_cached::server {
namespace {

absl::StatusOr<Domain> CgroupDomain(const Peer& peer) {
  std::string found;
  if (peer.pid > 0) {
    std::ifstream file(absl::StrCat("/proc/", peer.pid, "/cgroup"));
    for (std::string line; std::getline(file, line);) {
      // Version 2 is "0::/path"; of version 1 the memory controller's line is taken.
      if (line.rfind("0::", 0) == 0 && found.empty()) found = line.substr(3);
      const size_t memory = line.find(":memory:");
      if (memory != std::string::npos) found = line.substr(memory + 8);
    }
  }
  // Read before this, so it was not of a process that has the same pid now.
  if (HasExited(peer)) return absl::UnavailableError("the peer is gone");
  if (found.empty()) {
    return absl::PermissionDeniedError(
        absl::StrCat("the control group of pid ", peer.pid,
                     " cannot be read, and the domain is cgroup; "
                     "do: share the PID namespace (hostPID), or use --domain uid"));
  }
  return absl::StrCat("cgroup:", found);
}

}  // namespace

absl::StatusOr<Domain> DomainOf(const Peer& peer, DomainKind kind) {
  switch (kind) {
    case DomainKind::kShared:
      return Domain("shared");
    case DomainKind::kCgroup:
      return CgroupDomain(peer);
    case DomainKind::kUid:
      break;
  }
  return absl::StrCat("uid:", peer.uid);
}

}  // namespace nvcv_cached::server
