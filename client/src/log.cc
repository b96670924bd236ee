#include "client/src/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/src/errors.h"

namespace nvcv_cached {

namespace {
std::atomic<LogSink> installed{nullptr};
}  // namespace

void set_log_sink(LogSink sink) { installed.store(sink, std::memory_order_release); }

namespace client {

namespace {

constexpr const char* kLevels[] = {"off", "error", "warn", "info", "debug"};
constexpr int kDefaultLevel = static_cast<int>(LogLevel::kWarning);

const char* LevelAsked() {
  const char* text = std::getenv("NVCV_CACHED_LOG");
  return text == nullptr || *text == '\0' ? kLevels[kDefaultLevel] : text;
}

// -1: no level.
int LevelNamed(std::string_view name) {
  for (size_t level = 0; level < std::size(kLevels); ++level) {
    if (name == kLevels[level]) return static_cast<int>(level);
  }
  return -1;
}

int HighestLevel() {
  const int asked = LevelNamed(LevelAsked());
  return asked < 0 ? kDefaultLevel : asked;
}

}  // namespace

absl::Status CheckLogLevel() {
  const char* asked = LevelAsked();
  if (LevelNamed(asked) >= 0) return absl::OkStatus();
  return WithHint(absl::InvalidArgumentError(absl::StrCat("NVCV_CACHED_LOG=", asked)),
                  "use off, error, warn, info or debug");
}

void Log(LogLevel level, std::string_view text) noexcept {
  static const int highest = HighestLevel();
  if (static_cast<int>(level) > highest) return;
  static constexpr const char* kNames[] = {"", "error", "warning", "info", "debug"};
  try {
    std::string line(text);
    if (const LogSink sink = installed.load(std::memory_order_acquire)) {
      sink(level, line.c_str());
      return;
    }
    line.insert(0, absl::StrCat("nvcv-cached: ", kNames[static_cast<int>(level)], ": "));
    line += '\n';
    // One write, so that lines of several threads stay apart. Nothing can be done about a closed
    // stderr.
    [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  } catch (...) {
    return;
  }
}

}  // namespace client
}  // namespace nvcv_cached
