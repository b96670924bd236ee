// Where a daemon listens, by the name of its device; the one rule for daemon, library and CLI.
//
//   system daemon   /run/nvcv-cached/<device>.sock
//   user's daemon   $XDG_RUNTIME_DIR/nvcv-cached/<device>.sock, else /tmp/nvcv-cached-<uid>/<device>.sock
//
// <device> is "host" or a GPU's UUID. The descriptor socket is the path + ".fd", the lock +
// ".lock", the log of an autostarted daemon + ".log", the record of who maps which slab + ".slabs",
// and the statistics of one that has left + ".last" (a v1::Stats). A path must fit sockaddr_un with
// the longest suffix (107 bytes). Pure functions of their arguments and the environment.
// Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nvcv_cached {

inline constexpr std::string_view kDescriptorSuffix = ".fd";
inline constexpr std::string_view kLockSuffix = ".lock";
inline constexpr std::string_view kLogSuffix = ".log";
inline constexpr std::string_view kLastSuffix = ".last";
inline constexpr std::string_view kSlabsSuffix = ".slabs";

std::string SystemSocketDirectory();  // /run/nvcv-cached
std::string UserSocketDirectory();    // of the calling user
std::string SocketPath(std::string_view directory, std::string_view device);

// INVALID_ARGUMENT with the length found and the length allowed.
absl::Status CheckSocketPath(std::string_view path);

// Makes the user's directory with mode 0700, or checks that an existing one is the caller's own and
// 0700.
absl::Status MakeUserSocketDirectory(const std::string& directory);

}  // namespace nvcv_cached
