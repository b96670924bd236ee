#include "server/log/event_ring.h"

#include <utility>

namespace nvcv_cached::server {

void EventRing::Add(int64_t time_unix_ms, std::string level, std::string text) {
  std::lock_guard lock(mutex_);
  bytes_ += text.size();
  lines_.push_back({.number = ++last_number_,
                    .time_unix_ms = time_unix_ms,
                    .level = std::move(level),
                    .text = std::move(text)});
  while (lines_.size() > kMaxLines || (bytes_ > kMaxBytes && lines_.size() > 1)) {
    bytes_ -= lines_.front().text.size();
    lines_.pop_front();
  }
  for (const auto& [watch, on_line] : watches_) on_line();
}

std::optional<EventRing::Line> EventRing::Next(uint64_t number) const {
  std::lock_guard lock(mutex_);
  if (lines_.empty() || number > last_number_) return std::nullopt;
  const uint64_t oldest = lines_.front().number;
  return lines_[number <= oldest ? 0 : number - oldest];
}

uint64_t EventRing::Watch(std::function<void()> on_line) {
  std::lock_guard lock(mutex_);
  watches_.emplace(++last_watch_, std::move(on_line));
  return last_watch_;
}

void EventRing::Unwatch(uint64_t watch) {
  std::lock_guard lock(mutex_);
  watches_.erase(watch);
}

}  // namespace nvcv_cached::server
