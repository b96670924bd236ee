// The log's last lines, for whoever follows them from outside (Admin.FollowEvents).
//
// Lines are numbered from 1 on, gapless. The ring keeps the newest ones, bounded in number and in
// bytes: who reads too slowly finds the oldest gone, and by their numbers how many. Watches are
// called with the ring locked, on the thread that logs: they note that something came, no more.
// Thread-safety: thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"

namespace nvcv_cached::server {

class EventRing {
 public:
  static constexpr size_t kMaxLines = 1024;
  static constexpr size_t kMaxBytes = size_t{1} << 20;  // of text

  struct Line {
    uint64_t number = 0;
    int64_t time_unix_ms = 0;
    std::string level;  // debug, info, warn, error
    std::string text;   // the event's name and fields, as logfmt
  };

  void Add(int64_t time_unix_ms, std::string level, std::string text);

  // The oldest line with at least this number; nullopt: none so far.
  std::optional<Line> Next(uint64_t number) const;

  // Calls `on_line` after each Add until Unwatch, which waits for a call that runs.
  uint64_t Watch(std::function<void()> on_line);
  void Unwatch(uint64_t watch);

 private:
  mutable std::mutex mutex_;
  std::deque<Line> lines_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, std::function<void()>> watches_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_watch_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nvcv_cached::server
