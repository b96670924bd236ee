// A daemon in the test's own process: grants blocks of plain memory through a real lease table,
// with the transitions of proto/lease_table.h and the daemon's verbs.
//
// Blocks are filled with a pattern when the daemon takes them back and are given to the next lease
// of their size. Errors, uncached grants and a slow round trip can be asked for. Every test has its
// own; it is never destroyed, because items may outlive it, but Close()d. Thread-safe: one mutex;
// the words are atomics as in the real one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client/src/lease_source.h"

namespace nvcv_cached::client {

class FakeSource : public LeaseSource {
 public:
  // Makes one and installs it as the process's source.
  static FakeSource& Install();
  // Makes one that nothing uses yet.
  static FakeSource& Make();

  absl::StatusOr<std::vector<Lease>> Acquire(const LeaseRequest& request) override;
  void Returned(const Lease& lease) noexcept override;
  absl::StatusOr<DeviceTraits> Traits() override { return DeviceTraits{}; }
  absl::StatusOr<Device> CurrentDevice() override { return Device("host", "host", "test", 0); }

  // What the next grants are like.
  void FailNext(absl::Status status);
  void GrantUncached(bool uncached);
  void set_round_trip(std::chrono::nanoseconds time) { round_trip_ = time; }
  void set_ahead_allowed(bool allowed) { ahead_allowed_ = allowed; }

  // The daemon's verbs; what is idle is reaped at once. They say how many leases left the books.
  int RevokeIdle();               // reclaim
  int Clear();                    // clear, in use too
  int ClearThread(uint32_t tag);  // clear of one thread's scope
  void Close() { Clear(); }       // as when the daemon has died
  int Reap();                     // RETURNED and IDLE + REVOKED become EMPTY

  // What the books say: leases that count (not revoked), by scope.
  struct Count {
    int items = 0;
    uint64_t bytes = 0;
    int in_use = 0;
    int idle = 0;
  };
  Count Books(std::optional<uint32_t> tag = std::nullopt);
  int leases();  // slots that are not EMPTY
  int acquires() const { return acquires_.load(); }
  int granted() const { return granted_.load(); }
  int returned() const { return returned_.load(); }
  LeaseRequest last_request();
  std::string SpecOf(uint32_t slot);

  struct Hits {
    uint64_t exact = 0, size_class = 0, depot = 0, lost = 0;
  };
  Hits hits() const;

  lease_table::Table& table() { return *table_; }

 private:
  FakeSource();
  absl::StatusOr<Lease> Grant(const LeaseRequest& request, bool ahead);
  int Revoke(std::optional<uint32_t> tag, bool in_use_too);
  int ReapLocked();

  struct Block {
    void* data = nullptr;
    uint64_t bytes = 0;
  };
  struct Record {
    lease_table::Word empty;
    Block block;
    uint64_t counted_bytes = 0;
    bool used = false;
  };

  lease_table::Table* table_;
  uint64_t clock_zero_ms_;
  std::atomic<int> acquires_{0}, granted_{0}, returned_{0};
  std::chrono::nanoseconds round_trip_{0};
  bool ahead_allowed_ = true;

  std::mutex mutex_;
  std::vector<Record> records_;
  std::deque<uint32_t> free_slots_;
  uint32_t high_water_ = 0;  // no slot from here on was ever granted
  std::multimap<uint64_t, Block> free_blocks_;
  std::optional<absl::Status> fail_next_;
  bool uncached_ = false;
  LeaseRequest last_request_;
};

}  // namespace nvcv_cached::client
