#include "proto/time_text.h"

#include "absl/time/time.h"

namespace nvcv_cached {

std::string FormatTime(int64_t unix_ms, TimeDigits digits) {
  return absl::FormatTime(
      digits == TimeDigits::kSeconds ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%dT%H:%M:%E3SZ",
      absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

}  // namespace nvcv_cached
