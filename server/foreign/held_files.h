// Whether anybody still has a memory file: a descriptor of it or a mapping, also after the daemon
// that made it has ended, in whatever process, PID namespace or network namespace.
//
// MarkHeld takes a lock that belongs to the open file, which all of its descriptors and mappings
// share, those in a socket's queue too: the kernel lifts it with the last of them. /proc/locks
// lists the marks; that needs no right. A process with the descriptor can lift the mark as well, as
// it can close its descriptor socket: it spoils what its own domain is told.
//
// The list is everybody's: who takes a hundred thousand locks must not hold up the daemon, so it is
// read up to a size and a time. And it is no snapshot: while others come and go a line may be
// skipped, so it is read several times, and a mark that was seen once is there.
//
// Invariant: if is_complete(), contains() is true of every file that was marked and that somebody
// still has, unless somebody lifted the mark. Thread-safety: MarkHeld and Look are thread-safe; what Look returns is
// const.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "proto/unique_fd.h"

namespace nvcv_cached::server {

// Of the memory behind a memfd; 0: it cannot be marked, and nothing can be said of it later.
uint64_t MarkHeld(int memfd);

// An empty memory file, sealed, to be marked and handed to who is to be known to be there; empty:
// no descriptor is left.
UniqueFd MakeWitness();

class HeldFiles {
 public:
  struct Where {
    const char* list = "/proc/locks";
    size_t most_bytes = 1 << 20;  // some 20,000 locks
  };
  // nullopt: this kernel, or this view of /proc, does not show the marks.
  static std::optional<HeldFiles> Look() { return Look(Where()); }
  static std::optional<HeldFiles> Look(const Where& where);

  bool is_complete() const { return is_complete_; }  // else nothing is known of what it lacks
  bool contains(uint64_t inode) const { return inodes_.contains(inode); }

 private:
  bool ReadOnce(const Where& where, const std::string& device,
                std::chrono::steady_clock::time_point until);

  bool is_complete_ = false;
  std::set<uint64_t> inodes_;
};

}  // namespace nvcv_cached::server
