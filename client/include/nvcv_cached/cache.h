/// @file
/// The cache as its user sees it: NVCV's functions, for this process (each process speaks for itself).
///
/// Numbers are exact at the moment of the call: they are read at the daemon, by one call. Calls that only read
/// start no daemon; without one there is nothing cached. Errors as in buffer.h.
/// Thread-safety: thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nvcv_cached/export.h"

namespace nvcv_cached {

/// Whose part of the cache.
enum class Scope {
  kProcess,  ///< all threads of this process (NVCV's GLOBAL)
  kThread,   ///< what the calling thread made and still has in the cache (NVCV's LOCAL)
  kDaemon,   ///< all processes of this device; for reading only
};

/// Items in the cache, in use and idle.
NVCV_CACHED_API std::int64_t cache_size(Scope scope = Scope::kProcess);

/// Their bytes, as granted: rounded as NVCV rounds them.
NVCV_CACHED_API std::int64_t current_cache_size_inbytes(Scope scope = Scope::kProcess);

/// Takes the scope's items out of the cache. Those in use stay valid and are given back when released.
/// Throws InvalidArgument for Scope::kDaemon: that is the operator's (nvcv-cachectl clear).
NVCV_CACHED_API void clear_cache(Scope scope = Scope::kProcess);

/// This process's limit: any value >= 0 is taken and read back; the smaller of it and the daemon's is in force.
/// 0 caches nothing. Until it is set, the daemon's limit is read back (without a daemon: what one would take by
/// default, half of the device). Throws InvalidArgument for a negative value.
NVCV_CACHED_API void set_cache_limit_inbytes(std::int64_t limit);

/// The value set last by this process, else the daemon's, in bytes.
NVCV_CACHED_API std::int64_t get_cache_limit_inbytes();

/// Counters since the start of the scope (a process's outlive its sessions), and what is cached now.
struct Stats {
  std::uint64_t hits = 0;             ///< all three kinds below
  std::uint64_t hits_exact = 0;       ///< same spec, same thread
  std::uint64_t hits_size_class = 0;  ///< new object on old memory
  std::uint64_t hits_depot = 0;       ///< from threads that have ended
  std::uint64_t misses = 0;           ///< asked the daemon, all results
  std::uint64_t misses_reclaim = 0;   ///< idle memory was taken from somebody first
  std::uint64_t misses_grow = 0;      ///< the pool grew
  std::uint64_t refused = 0;          ///< answered with an error
  std::uint64_t cache_items = 0;      ///< as cache_size()
  std::uint64_t cache_bytes = 0;      ///< as current_cache_size_inbytes()
};

/// All counters of a scope, at one moment; without a daemon, what the process counted so far.
NVCV_CACHED_API Stats stats(Scope scope = Scope::kProcess);

}  // namespace nvcv_cached
