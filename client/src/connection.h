// This process's way to the daemon of one device: finds it, starts it, keeps a session with it, and
// finds the next one.
//
// Invariant: at most one open session. A broken stream is resumed; when the daemon is gone its
// session is closed and a new daemon is looked for, in the background as well (50 ms doubling to 2
// s), so that it is used as soon as it is there. Every call ends within its deadline; a call whose
// session was closed under it is tried once more, on the next one.
//
// One background thread, the keeper, from the first session on: it resumes, closes, reconnects, and
// sends returns that no message took along. Nothing is started or connected before the first call
// that needs it. Thread-safety: thread-safe. Not for a forked child.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/back_off.h"
#include "client/src/lease_source.h"
#include "client/src/options.h"
#include "nvcv_cached/cache.h"
#include "nvcv_cached/device.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::v1 {
class ClientMessage;
class Counts;
class ServerMessage;
}  // namespace nvcv_cached::v1

namespace nvcv_cached::client {

class Link;

class Connection final : public LeaseSource {
 public:
  explicit Connection(const Options& options = {});
  ~Connection() override;  // for tests; the process's own is never destroyed

  absl::StatusOr<std::vector<Lease>> Acquire(const LeaseRequest& request) override;
  void Returned(const Lease& lease) noexcept override;
  absl::StatusOr<DeviceTraits> Traits() override;

  // Connects with these options, or proves that the connection is alive; INVALID_ARGUMENT when
  // connected with others.
  absl::Status Connect(const Options& options);

  bool was_connected();
  // It has been connected, and to that device: "host" or a UUID.
  bool DeviceIs(const std::string& id);

  // Never connects.
  absl::StatusOr<Device> CurrentDevice() override;
  absl::StatusOr<uint64_t> DeviceBytes();

  // Empty: the host device. Connects if only the daemon knows.
  absl::StatusOr<std::string> GpuUuid();

  // The process's own limit: kept for each session to come; an open one is told now.
  absl::Status SetLimit(uint64_t limit_bytes);
  // Connects if a daemon is there, but starts none: nullopt when there is none.
  absl::StatusOr<std::optional<uint64_t>> Limit();
  absl::Status Clear(Scope scope, uint32_t thread_tag);
  // What the daemon counts for the scope; zeros where nothing is connected. A process's hits and
  // misses are of all its sessions so far, and never fall.
  absl::StatusOr<Stats> Count(Scope scope, uint32_t thread_tag);

  // The process ends: goodbye, in `patience` at most. Later calls are UNAVAILABLE.
  void Leave(std::chrono::milliseconds patience);

 private:
  using Clock = std::chrono::steady_clock;
  using Deadline = Clock::time_point;
  enum class Start { kAllowed, kNever };  // of a daemon

  absl::StatusOr<Settings> SettingsNow();
  // The open session's link, which may be made first.
  absl::StatusOr<std::shared_ptr<Link>> Ready(Deadline deadline, Start start);
  absl::Status AwaitOpening(std::unique_lock<std::mutex>& lock, Deadline deadline, Start start,
                            const Settings& settings);
  absl::Status Publish(std::unique_ptr<Link> link, std::optional<uint64_t> told_limit);
  std::shared_ptr<Link> LinkIfOpen();

  // A question that changes nothing, answered in order: what was said before it is in force.
  absl::StatusOr<v1::Counts> Query(Link& link, const Settings& settings, const std::string& asked,
                                   Scope scope, uint32_t thread_tag, Deadline deadline);

  void WarnOfLimit();  // mutex_ held

  static void AddCounters(Stats& to, const Stats& counters);
  void CountOff(const Link& link);  // its session is over: mutex_ held

  absl::Status RunKeeper();  // mutex_ held
  void Keep();
  void MendOrClose(const std::shared_ptr<Link>& link);
  void Wake() noexcept;

  UniqueFd wake_;  // an eventfd: the keeper waits on it; constant from the first session on
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Settings> settings_;
  Options options_;
  std::shared_ptr<Link> link_;
  bool was_connected_ = false;
  std::optional<std::string> system_socket_;  // of the last daemon, if it was the system's
  bool opening_ = false;                      // some thread is at it
  Start opening_start_ = Start::kNever;
  absl::Status last_attempt_;  // how the last one ended
  bool leaving_ = false;
  bool keeper_runs_ = false;
  bool keeper_stopped_ = false;
  std::optional<uint64_t> limit_bytes_;
  bool limit_warned_ = false;
  std::optional<Device> device_;
  DeviceTraits traits_;
  Stats past_;        // counters of the sessions before link_'s
  Stats told_;        // of link_'s, the most that its daemon has said
  BackOff back_off_;  // of the keeper's looks for a daemon
  Deadline next_attempt_{};
};

}  // namespace nvcv_cached::client
