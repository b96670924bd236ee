// Who is at the other end of a connection, as the kernel says; what a client says about itself is
// not asked.
//
// ReadPeer is called once when a connection is accepted. The pidfd names the process for good: by
// SO_PEERPIDFD where the kernel has it, else by pidfd_open, after which the socket and the
// process's start time are looked at again, so that a pid used again cannot pass for the peer.
// NVCV_CACHED_TEST_NO_PEERPIDFD=1 forces the second way. Without a pidfd there is no proof of
// death, so such a peer is refused.
//
// PeerRegistry maps the name that gRPC gives a connection ("fd:N") to its peer. gRPC closes N only
// after the last call on it, so an entry found by a running handler is its own. Thread-safety:
// thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::server {

inline constexpr uid_t kOverflowUid = 65534;

struct Peer {
  pid_t pid = 0;  // 0: outside this PID namespace
  uid_t uid = kOverflowUid;
  gid_t gid = kOverflowUid;
  UniqueFd pidfd;  // readable when the process has exited
  // Not OK: calls of this peer are refused with it (overflow uid, no pidfd).
  absl::Status refusal;
};

// UNAVAILABLE: the peer is gone already. RESOURCE_EXHAUSTED: no descriptor left for its pidfd.
// Otherwise a peer, perhaps one with a refusal.
absl::StatusOr<std::shared_ptr<Peer>> ReadPeer(int socket);

bool HasExited(const Peer& peer);

// Are these two connections of one process? Kernel-made facts only.
bool SameProcess(const Peer& a, const Peer& b);

class PeerRegistry {
 public:
  void Add(int fd, std::shared_ptr<const Peer> peer);
  // Does nothing when the number has been given to another peer meanwhile.
  void Remove(int fd, const Peer* peer);

  // `name` is ServerContext::peer(). UNAVAILABLE: the connection is closing; else the peer's
  // refusal, if any.
  absl::StatusOr<std::shared_ptr<const Peer>> Find(std::string_view name) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<int, std::shared_ptr<const Peer>> peers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nvcv_cached::server
