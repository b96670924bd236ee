// The daemon's own promises to itself. A failed one is a bug of the daemon, never of a client: what
// clients write is checked with statuses, not with this.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace nvcv_cached::server::core {

[[noreturn]] inline void CheckFailed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, what);
  std::abort();
}

}  // namespace nvcv_cached::server::core

#define NVCV_CACHED_CHECK(condition) \
  ((condition) ? (void)0 : ::nvcv_cached::server::core::CheckFailed(#condition, __FILE__, __LINE__))
