// The one lock of the books, and what carries out their effects.
//
// With(f) runs f(Books&) under the lock and then hands the effects on, in order, still under it: to
// the sessions' outgoing queues (memory work) and to the device worker's queue. What that made
// ready to be sent is written after the lock is released, by the same thread. Nothing here calls
// the device or writes to a socket under the lock, and f must not either.
//
// Owns two threads: the device worker (slabs are made and freed there) and the ticker (sleeps until
// Books::NextTick; with nothing to wait for it sleeps until woken, so an idle daemon uses no CPU).
// Lock order: the books' mutex, then a session's own. Thread-safety: thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "server/core/books.h"
#include "server/core/clock.h"
#include "server/core/effects.h"
#include "server/device/device.h"
#include "server/foreign/slab_record.h"
#include "server/rpc/liveness.h"

namespace nvcv_cached::server {

// Where a session's answers go; implemented by the session (session.h).
class SessionSink {
 public:
  using Handles = std::vector<std::shared_ptr<const SlabHandle>>;

  virtual ~SessionSink() = default;

  // Called under the lock of the books: memory work only, no call back into the broker.
  // `handles[i]` belongs to grant.new_slabs[i].
  virtual void OnGrant(const SendGrant& grant, Handles handles) = 0;
  virtual void OnRefusal(const SendRefusal& refusal) = 0;
  virtual void OnRetire(SlabId slab) = 0;
  virtual void OnKill(const absl::Status& status) = 0;
  virtual void OnEnded(EndCause cause) = 0;
  virtual void OnDraining() = 0;
  virtual bool attached() const = 0;

  // Called without the lock after any of the above: writes what waits.
  virtual void Pump() = 0;
};

// serving, or draining (no new sessions; those that are open go on). The values of admin.proto's
// DaemonState are these and STARTING before the daemon listens.
enum class ServingState : uint8_t { kServing, kDraining, kFailed };

// The reasons of connections_refused_total.
enum class ConnectionRefusal : uint8_t { kPermission, kLimit, kNamespace, kDraining };
inline constexpr size_t kConnectionRefusals = 4;

class Broker {
 public:
  // `device`, `clock` and `record` (nullptr: none is kept) outlive the broker. `epoch` as in the
  // lock file, from 1.
  Broker(const Settings& settings, uint64_t epoch, Device& device, const Clock& clock,
         SlabRecord* record = nullptr);
  ~Broker();  // stops both threads; slabs that are left stay the device's
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // Runs f(Books&) under the lock and returns what it returns.
  template <class F>
  auto With(F&& f) {
    using Result = std::invoke_result_t<F, Books&>;
    Wakeups wakeups;
    std::unique_lock lock(mutex_);
    if constexpr (std::is_void_v<Result>) {
      std::forward<F>(f)(*books_);
      Dispatch(wakeups);
      lock.unlock();
      Finish(wakeups);
    } else {
      Result result = std::forward<F>(f)(*books_);
      Dispatch(wakeups);
      lock.unlock();
      Finish(wakeups);
      return result;
    }
  }

  // Opens a session in the books and names its sink in one step. `make_sink(id)` is called under
  // the lock.
  SessionId OpenSession(const SessionOptions& options, lease_table::Table* table,
                        const std::function<std::shared_ptr<SessionSink>(SessionId)>& make_sink);

  // The session gets its descriptor socket: from now on it may map slabs. What is returned is to be
  // sent over it last (FrameKind::kWitness), if anything is.
  UniqueFd NoteConnected(SessionId id, pid_t pid);
  absl::Status Unmapped(SessionId id, SlabId slab);  // as in the books
  // Writes what the record has to say. To be called before a grant of a new slab is sent; without
  // locks.
  void FlushRecord() {
    if (record_ != nullptr) record_->Flush();
  }

  uint64_t epoch() const { return epoch_; }
  const DeviceInfo& device_info() const { return device_.info(); }
  const Clock& clock() const { return clock_; }

  // Asks the device on the worker's thread and waits for the answer, at most a second (then the
  // last one).
  uint64_t DeviceFreeBytes();

  // Draining: no new sessions, the cache is emptied (idle leases go back, those in use leave the
  // books and go back on release). Both are idempotent.
  void Drain();
  void Undrain();
  ServingState state() const { return state_.load(std::memory_order_acquire); }
  // Called without locks after each change of state(), by the thread that made it. Set before
  // serving.
  void OnStateChange(std::function<void(ServingState)> observer) {
    observer_ = std::move(observer);
  }

  // Sessions whose stream is up; an open session that is not among them is detached.
  std::unordered_set<SessionId> AttachedSessions();
  // Since when there has been no session at all; nullopt while there is one.
  std::optional<TimePoint> IdleSince();

  void CountRefusedConnection(ConnectionRefusal reason) {
    refused_[static_cast<size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t refused_connections(ConnectionRefusal reason) const {
    return refused_[static_cast<size_t>(reason)].load(std::memory_order_relaxed);
  }
  std::map<std::string, uint64_t> DeviceErrors();  // by status code's name

  // Of its two threads; not to be asked any more when the broker ends.
  std::vector<Pulse> Pulses();

 private:
  // What is to happen once the lock is released: pumps, and sinks whose session ended.
  struct Wakeups {
    std::vector<std::shared_ptr<SessionSink>> sinks;
    bool device = false;
    bool ticker = false;
    bool record = false;
  };

  void Dispatch(Wakeups& wakeups) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Carry(Effect& effect, Wakeups& wakeups) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Finish(Wakeups& wakeups);
  void RunDevice();
  void RunTicker();
  void Allocate(const AllocateSlab& job);
  void Free(const FreeSlab& job);

  const uint64_t epoch_;
  Device& device_;
  const Clock& clock_;
  SlabRecord* const record_;
  std::function<void(ServingState)> observer_;
  std::atomic<ServingState> state_{ServingState::kServing};
  std::array<std::atomic<uint64_t>, kConnectionRefusals> refused_{};

  std::mutex mutex_;
  std::unique_ptr<Books> books_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<SessionId, std::shared_ptr<SessionSink>> sinks_ ABSL_GUARDED_BY(mutex_);
  struct ReadySlab {
    std::shared_ptr<const SlabHandle> handle;
    uint64_t inode = 0;  // of a host slab's memory, marked as held; else 0
  };
  std::unordered_map<SlabId, ReadySlab> slabs_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::function<void()>> device_jobs_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> ticker_answer_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> device_errors_ ABSL_GUARDED_BY(mutex_);
  std::optional<TimePoint> idle_since_ ABSL_GUARDED_BY(mutex_);
  std::optional<TimePoint> next_tick_ ABSL_GUARDED_BY(mutex_);
  std::optional<TimePoint> ticker_wakes_ ABSL_GUARDED_BY(mutex_);  // nullopt: not by itself
  uint64_t device_free_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<uint64_t> bytes_being_made_{0};  // of the slab that the device worker is at
  std::condition_variable device_wakeup_;
  std::condition_variable ticker_wakeup_;

  std::thread device_thread_;
  std::thread ticker_thread_;
};

}  // namespace nvcv_cached::server
