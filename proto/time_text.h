// How moments are written, the same for daemon and CLI: RFC 3339 in UTC, 2026-11-23T07:02:29Z or,
// with milliseconds, 2026-11-23T07:02:29.120Z. Pure function. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

namespace nvcv_cached {

enum class TimeDigits { kSeconds, kMilliseconds };  // the rest is cut
std::string FormatTime(int64_t unix_ms, TimeDigits digits);

}  // namespace nvcv_cached
