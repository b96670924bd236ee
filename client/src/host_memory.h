// How much memory the host device has: the smaller of RAM and the cgroup's limit, as a daemon would
// see it. Thread-safe.
#pragma once

#include <cstdint>

namespace nvcv_cached::client {

uint64_t HostMemoryBytes();

}  // namespace nvcv_cached::client
