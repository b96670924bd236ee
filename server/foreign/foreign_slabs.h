// What clients of earlier daemons still map: memory of the device that this daemon's pool cannot
// have and that comes back when those processes let go or end (M3, L3).
//
// Where the kernel shows who has a memory file (held_files.h) the answer is exact: a host slab
// counts as long as anybody has its memory; a GPU's slabs count as long as anybody holds the
// session's end of the descriptor socket, in whose queue its witness lies. The client keeps that
// end while it uses anything of that session, and so does a child that it forked. (Which of the
// session's slabs a GPU's client has unmapped by itself, nobody can see: at most what is not free
// on the device counts.) Where it does not, a session counts as long as its process lives; of a
// host session whose process lets us look, the slabs that it maps. That is more than it may use,
// and does not see a forked child that outlives it.
//
// While the list of who has what cannot be read to its end (somebody holds very many locks) all that
// is recorded counts. A session that counts no more is dropped from the record for good. Thread-safety: none.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>

#include "server/foreign/held_files.h"
#include "server/foreign/slab_record.h"

namespace nvcv_cached::server {

struct ForeignSlabs {
  uint64_t bytes = 0;    // each slab once
  std::set<pid_t> pids;  // of the clients that live; a forked child of a dead one is not among them
  bool look_again = false;  // some may still hold what they have
};

ForeignSlabs LookForForeignSlabs(SlabRecord& record, const HeldFiles::Where& where = {});

}  // namespace nvcv_cached::server
