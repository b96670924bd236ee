// Where the daemon's log lines go: stderr, one event a line, as logfmt or JSON.
//
//   2026-11-23T07:02:29.123Z INFO  ready socket=/run/nvcv-cached/host.sock in=0.31s
//   {"ts":"2026-11-23T07:02:29.123Z","level":"info","event":"ready","socket":"/run/..."}
//
// Under the journal a line starts with its priority (<6>) in place of the time. Whatever the text,
// a line holds printable ASCII only. Of each event at most kPerSecond lines a second are written;
// the next one after that says suppressed=N. Events named snapshot* are never held back: somebody
// asked for them.
//
// The last lines written are remembered (event_ring.h), for operators who follow them.
//
// Install() makes it the sink of spdlog's default logger. Thread-safety: thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "server/log/event_ring.h"
#include "server/log/logfmt.h"
#include "spdlog/sinks/base_sink.h"

namespace nvcv_cached::server {

enum class LogFormat : uint8_t { kText, kJson };

struct LogOptions {
  LogFormat format = LogFormat::kText;
  bool journal = false;
  std::function<void(std::string_view line)> write = {};  // empty: stderr
};

inline constexpr uint32_t kPerSecond = 10;

class LogSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LogSink(LogOptions options) : options_(std::move(options)) {}

  void SetFormat(LogFormat format);
  EventRing& events() { return events_; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}

 private:
  struct Window {
    std::chrono::system_clock::time_point begin;
    uint32_t lines = 0;
    uint64_t suppressed = 0;
  };

  LogOptions options_;
  EventRing events_;
  std::unordered_map<std::string, Window> windows_;  // by event: as many as the source has names
};

bool StderrIsJournal();  // by JOURNAL_STREAM

// `level` is debug, info, warn or error. Returns the sink that is installed now.
std::shared_ptr<LogSink> InstallLog(LogOptions options, const std::string& level);
void SetLogLevel(const std::string& level);

void LogInfo(const Event& event);
void LogWarning(const Event& event);
void LogError(const Event& event);

}  // namespace nvcv_cached::server
