// What the library says to people: one line each, to the sink of nvcv_cached/log.h or as
// `nvcv-cached: warning: ...` on stderr, as far as NVCV_CACHED_LOG lets it (warn when unset).
// Thread-safe.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "nvcv_cached/log.h"

namespace nvcv_cached::client {

void Log(LogLevel level, std::string_view text) noexcept;

// INVALID_ARGUMENT: NVCV_CACHED_LOG is no level; it counts as warn.
absl::Status CheckLogLevel();

}  // namespace nvcv_cached::client
