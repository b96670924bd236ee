#include "server/log/log_sink.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"
#include "proto/time_text.h"
#include "spdlog/spdlog.h"

namespace nvcv_cached::server {
namespace {

// Many names would mean that somebody logs text where an event's name belongs.
constexpr size_t kMaxWindows = 1024;

struct Level {
  const char* text;
  const char* json;
  int priority;  // of syslog
};

Level Describe(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return {"DEBUG", "debug", 7};
    case spdlog::level::warn:
      return {"WARN ", "warn", 4};
    case spdlog::level::err:
    case spdlog::level::critical:
      return {"ERROR", "error", 3};
    default:
      return {"INFO ", "info", 6};
  }
}

std::string Printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    if (c >= ' ' && c <= '~') {
      result.push_back(c);
    } else {
      absl::StrAppendFormat(&result, "\\x%02x", static_cast<unsigned char>(c));
    }
  }
  return result;
}

// Numbers stay numbers, so that a log's reader need not guess.
nlohmann::ordered_json JsonValue(const std::string& value) {
  if (!value.empty() && value.size() < 19 &&
      value.find_first_not_of("0123456789") == std::string::npos) {
    return std::strtoull(value.c_str(), nullptr, 10);
  }
  return value;
}

std::string JsonLine(const std::string& time, const Level& level, std::string_view text) {
  nlohmann::ordered_json line;
  line["ts"] = time;
  line["level"] = level.json;
  const ParsedEvent event = ParseEvent(text);
  line["event"] = event.name;
  for (const auto& [key, value] : event.fields) {
    if (!line.contains(key)) line[key] = JsonValue(value);
  }
  return line.dump(-1, ' ', /*ensure_ascii=*/true,
                   nlohmann::ordered_json::error_handler_t::replace);
}

void WriteStderr(std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    if (written <= 0) return;
    line.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

void LogSink::SetFormat(LogFormat format) {
  std::lock_guard lock(mutex_);
  options_.format = format;
}

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  std::string text = Printable(std::string_view(message.payload.data(), message.payload.size()));
  std::string name = text.substr(0, text.find(' '));
  if (name.rfind("snapshot", 0) != 0) {
    if (windows_.size() >= kMaxWindows) windows_.clear();
    Window& window = windows_[std::move(name)];
    if (message.time - window.begin >= std::chrono::seconds(1)) {
      window.begin = message.time;
      window.lines = 0;
    }
    if (++window.lines > kPerSecond) {
      ++window.suppressed;
      return;
    }
    if (uint64_t suppressed = std::exchange(window.suppressed, 0); suppressed > 0) {
      absl::StrAppend(&text, " suppressed=", suppressed);
    }
  }
  const Level level = Describe(message.level);
  const int64_t unix_ms =
      std::chrono::floor<std::chrono::milliseconds>(message.time.time_since_epoch()).count();
  const std::string time = FormatTime(unix_ms, TimeDigits::kMilliseconds);
  events_.Add(unix_ms, level.json, text);
  std::string line;
  if (options_.format == LogFormat::kJson) {
    line = JsonLine(time, level, text);
  } else {
    line = absl::StrCat(options_.journal ? "" : absl::StrCat(time, " "), level.text, " ", text);
  }
  if (options_.journal) line = absl::StrCat("<", level.priority, ">", line);
  line.push_back('\n');
  if (options_.write) {
    options_.write(line);
  } else {
    WriteStderr(line);
  }
}

bool StderrIsJournal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat info {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &info) != 0) return false;
  return absl::StrCat(info.st_dev, ":", info.st_ino) == stream;
}

std::shared_ptr<LogSink> InstallLog(LogOptions options, const std::string& level) {
  auto sink = std::make_shared<LogSink>(std::move(options));
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("", sink));
  SetLogLevel(level);
  return sink;
}

void SetLogLevel(const std::string& level) {
  spdlog::set_level(level == "debug"   ? spdlog::level::debug
                    : level == "warn"  ? spdlog::level::warn
                    : level == "error" ? spdlog::level::err
                                       : spdlog::level::info);
}

// The text goes in as an argument: it may hold braces.
void LogInfo(const Event& event) { spdlog::info("{}", event.text()); }
void LogWarning(const Event& event) { spdlog::warn("{}", event.text()); }
void LogError(const Event& event) { spdlog::error("{}", event.text()); }

}  // namespace nvcv_cached::server
