#include "client/src/log.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

namespace nvcv_cached::client {

namespace {

int LevelOfEnvironment() {
  const char* text = std::getenv("NVCV_CACHED_LOG");
  std::string_view level = text == nullptr ? "" : text;
  if (level == "off") return 0;
  if (level == "error") return 1;
  if (level == "info") return 3;
  if (level == "debug") return 4;
  return 2;
}

}  // namespace

void Log(LogLevel level, std::string_view text) noexcept {
  static const int highest = LevelOfEnvironment();
  if (static_cast<int>(level) > highest) return;
  static constexpr const char* kNames[] = {"", "error", "warning", "info", "debug"};
  try {
    std::string line = "nvcv-cached: ";
    line.append(kNames[static_cast<int>(level)]).append(": ").append(text).append("\n");
    // One write, so that lines of several threads stay apart. Nothing can be done about a closed
    // stderr.
    [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  } catch (...) {
    return;
  }
}

}  // namespace nvcv_cached::client
