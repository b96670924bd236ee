// What clients of earlier daemons still map: memory of the device that this daemon's pool cannot
// have and that comes back when those processes let go or end (M3, L3).
//
// A session of the record counts as long as somebody holds its end of the descriptor socket: the
// client keeps it while it uses anything of that session, and so does a child that it forked. Where
// the kernel does not tell, it counts as long as its process lives. Of a host session whose process
// lets us look, the slabs count that the process still maps; else all that it was ever given and
// did not return, which is more than it may use: at most what is not free on the device.
//
// A session that counts no more is dropped from the record for good. Thread-safety: none.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>

#include "server/foreign/slab_record.h"

namespace nvcv_cached::server {

struct ForeignSlabs {
  uint64_t bytes = 0;    // each slab once
  std::set<pid_t> pids;  // of the clients that live; a forked child of a dead one is not among them
};

ForeignSlabs LookForForeignSlabs(SlabRecord& record);

// In clock ticks since the boot; 0: there is no such process.
uint64_t ProcessStart(pid_t pid);

}  // namespace nvcv_cached::server
