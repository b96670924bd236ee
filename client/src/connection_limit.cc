// The cache limit of this process: kept for every session to come, told to the one that is there.
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/src/connection.h"
#include "client/src/link.h"
#include "client/src/log.h"
#include "client/src/wait_scope.h"
#include "nvcv_cached/v1/session.pb.h"
#include "proto/host_memory.h"
#include "proto/units.h"

namespace nvcv_cached::client {

// Said once, as soon as the device is known.
void Connection::WarnOfLimit() {
  uint64_t total =
      settings_->device == "host" ? ReadHostMemory().total_bytes : settings_->device_bytes;
  if (device_) total = device_->total_bytes();
  if (limit_warned_ || !limit_bytes_ || total == 0 || *limit_bytes_ <= total) return;
  limit_warned_ = true;
  Log(LogLevel::kWarning,
      absl::StrCat("the cache limit of this process, ", FormatSize(*limit_bytes_),
                   ", is above the device's memory, ", FormatSize(total)));
}

absl::Status Connection::SetLimit(uint64_t limit_bytes) {
  WaitScope waiting;
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  std::shared_ptr<Link> link;
  {
    // In one step: the limit kept for the next session is the last one told to this one.
    std::lock_guard lock(mutex_);
    limit_bytes_ = limit_bytes;
    WarnOfLimit();
    if (link_ != nullptr && !link_->closed() && !leaving_) {
      link = link_;
      if (absl::Status told = link->TellLimit(limit_bytes); absl::IsResourceExhausted(told)) {
        return told;
      }
    }
  }
  if (link == nullptr) return absl::OkStatus();
  absl::Status status = Query(*link, *settings, "setting the limit", Scope::kProcess, 0,
                              Clock::now() + settings->timeout)
                            .status();
  if (absl::IsAborted(status)) return absl::OkStatus();  // it goes with the next Hello
  return status;
}

absl::StatusOr<std::optional<uint64_t>> Connection::Limit() {
  WaitScope waiting;
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  {
    std::lock_guard lock(mutex_);
    if (limit_bytes_) return limit_bytes_;
  }
  const Deadline deadline = Clock::now() + settings->timeout;
  absl::StatusOr<std::shared_ptr<Link>> link = Ready(deadline, Start::kNever);
  if (absl::IsNotFound(link.status())) return std::optional<uint64_t>();
  if (!link.ok()) return link.status();
  absl::StatusOr<v1::Counts> counts =
      Query(**link, *settings, "reading the limit", Scope::kProcess, 0, deadline);
  if (absl::IsAborted(counts.status())) return std::optional<uint64_t>();
  if (!counts.ok()) return counts.status();
  return std::optional<uint64_t>(counts->daemon_limit_bytes());
}

}  // namespace nvcv_cached::client
