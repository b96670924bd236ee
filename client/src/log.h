// What the library says to people, on stderr: one line each, `nvcv-cached: warning: ...`, as far as
// NVCV_CACHED_LOG lets it (error, warn, info, debug; off for none; warn when unset). Thread-safe.
#pragma once

#include <string_view>

namespace nvcv_cached::client {

enum class LogLevel { kError = 1, kWarning = 2, kInfo = 3, kDebug = 4 };

void Log(LogLevel level, std::string_view text) noexcept;

}  // namespace nvcv_cached::client
