// How people write sizes and durations, the same for daemon, library and CLI.
//
//   sizes      8GiB 512Mi 1.5TiB (binary), 8GB 500MB (decimal), 4096 (bytes), 50%, none
//   durations  500ms 10s 5m 2h never
//
// "8G" is refused with the two ways to write it: systemd, Kubernetes and Redis disagree about it.
// Pure functions. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace nvcv_cached {

// `whole_bytes` is what N% is of; without it N% is refused. "none" gives nullopt. INVALID_ARGUMENT
// says what was found and how to write it.
absl::StatusOr<std::optional<uint64_t>> ParseSize(std::string_view text,
                                                  std::optional<uint64_t> whole_bytes);

// "never" gives nullopt.
absl::StatusOr<std::optional<std::chrono::milliseconds>> ParseDuration(std::string_view text);

std::string FormatSize(uint64_t bytes);  // binary, three digits: 9.40GiB, 312MiB, 0B
std::string FormatDuration(std::chrono::milliseconds duration);  // 500ms 41m 2h11 3d04h

}  // namespace nvcv_cached
