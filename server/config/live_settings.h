// The settings in force, with their origins: read by reports, changed by the operator and by
// reloads.
//
// Invariant: what it says is what the books, the log and the sessions were told, for whoever
// changes something does so inside Change, one at a time. Its lock comes before the lock of the
// books. Thread-safety: thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "server/config/daemon_settings.h"

namespace nvcv_cached::server {

struct Reloads {
  uint64_t ok = 0, refused = 0;
};

class LiveSettings {
 public:
  explicit LiveSettings(DaemonSettings settings) : settings_(std::move(settings)) {}

  DaemonSettings Get() const {
    std::lock_guard lock(mutex_);
    return settings_;
  }

  // Runs change(settings); it carries the change out and writes it down.
  template <class F>
  auto Change(F&& change) {
    std::lock_guard lock(mutex_);
    return std::forward<F>(change)(settings_);
  }

  // Counts a reload, and returns how many there were.
  Reloads CountReload(uint64_t Reloads::*result) {
    std::lock_guard lock(mutex_);
    ++(reloads_.*result);
    return reloads_;
  }
  Reloads reloads() const {
    std::lock_guard lock(mutex_);
    return reloads_;
  }

 private:
  mutable std::mutex mutex_;
  DaemonSettings settings_ ABSL_GUARDED_BY(mutex_);
  Reloads reloads_ ABSL_GUARDED_BY(mutex_);
};

// Writes a change down with origin runtime.
void NoteRuntime(DaemonSettings& settings, SettingText text);

// What of `now` may replace `old` while running: the new settings in force, and the keys that need
// a restart. A capacity may only grow.
struct Reloaded {
  DaemonSettings settings;
  std::vector<std::string> changed;        // key=shown
  std::vector<std::string> needs_restart;  // keys
};
Reloaded PlanReload(const DaemonSettings& old, DaemonSettings now);

}  // namespace nvcv_cached::server
