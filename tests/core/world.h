// A small world around the books: a clock that tests move, clients that do the client's side of the
// lease table in plain memory, and a device that answers at once (or when told to).
//
// World::Run carries out effects until there are none. Every grant and refusal lands with its
// client. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proto/lease_table.h"
#include "server/core/books.h"

namespace nvcv_cached::server {

constexpr uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;

class FakeClock final : public Clock {
 public:
  TimePoint Now() const override { return now_; }
  void Advance(Duration duration) { now_ += duration; }

 private:
  TimePoint now_{std::chrono::hours(1)};
};

// What a client remembers of a lease: the slot and the word last seen.
struct Handle {
  uint32_t slot = 0;
  lease_table::Word word;
  Block block;
  uint64_t size = 0;
};

// Zero pages, like a fresh memfd.
struct TableFree {
  void operator()(lease_table::Table* table) const;
};

class World;

// One client process.
class Client {
 public:
  Client(World& world, SessionOptions options);

  SessionId id() const { return id_; }
  lease_table::Table& table() { return *table_; }
  lease_table::Slot& slot(const Handle& handle) { return table_->slots[handle.slot]; }

  struct Options {
    uint64_t alignment = 1;
    uint32_t thread_tag = 0;
    Duration timeout{0};
    uint32_t ahead = 0;
    std::string spec = {};
  };
  // Asks and runs the world until it is quiet.
  RequestId Ask(uint64_t size, const Options& options);
  RequestId Ask(uint64_t size) { return Ask(size, Options{}); }
  // Asks and takes the lease; nullopt: not granted (yet).
  std::optional<Handle> Acquire(uint64_t size, const Options& options);
  std::optional<Handle> Acquire(uint64_t size) { return Acquire(size, Options{}); }
  std::optional<Handle> Granted(RequestId request) const;
  const SendRefusal* Refused(RequestId request) const;
  uint64_t SizeOf(RequestId request) const { return sizes_.at(request); }
  void ForgetAnswers();

  // The client's transitions. Release and Reuse are false when the daemon was faster.
  bool Release(Handle& handle, std::optional<lease_table::Fence> fence = std::nullopt);
  bool Reuse(Handle& handle);
  enum class Message { kSend, kForget };
  void Return(Handle& handle, Message message = Message::kSend,
              std::optional<lease_table::Fence> fence = std::nullopt);
  // Release, or Return when it was revoked.
  void Drop(Handle& handle);
  void FinishFence(uint16_t timeline, uint64_t counter) {
    table_->timelines[timeline].done_cpu.store(counter, std::memory_order_release);
  }
  // Dies: both proofs.
  void Die();

  // Writes a word that no client may write.
  void Scribble(uint32_t slot, uint64_t bits) { table_->slots[slot].word.store(bits); }

  std::map<RequestId, SendGrant> grants;
  std::map<RequestId, SendRefusal> refusals;
  std::map<SlabId, uint64_t> slabs;  // that it was told of and maps
  std::set<SlabId> retiring;         // asked to unmap, not done
  bool unmaps = true;                // answers Retire at once
  std::optional<absl::Status> killed;
  std::optional<EndCause> ended;

 private:
  World& world_;
  std::unique_ptr<lease_table::Table, TableFree> table_;
  SessionId id_ = 0;
  TimePoint opened_;
  RequestId next_request_ = 1;
  std::map<RequestId, uint64_t> sizes_;
};

class World {
 public:
  explicit World(const Settings& settings, uint64_t epoch = 1) : books(settings, epoch, clock) {}

  Client& Open(const std::string& name = "client", const Domain& domain = "uid:0",
               std::optional<uint64_t> limit = std::nullopt) {
    SessionOptions options;
    options.name = name;
    options.domain = domain;
    options.pid = next_pid_++;
    options.limit_bytes = limit;
    auto client = std::make_unique<Client>(*this, options);
    Client& opened = *client;
    clients_.emplace(opened.id(), std::move(client));
    return opened;
  }

  void Run();
  void Advance(Duration duration) {
    clock.Advance(duration);
    books.Tick();
    Run();
  }
  // Lets the device do what it was asked for (with device_waits).
  void DeviceWorks();
  PoolReport Pool() { return books.GetPool(); }
  Client* Find(SessionId id);
  void Forget(SessionId id) { clients_.erase(id); }  // of a session that has ended

  FakeClock clock;
  Books books;
  bool device_waits = false;  // slabs are made and freed only by DeviceWorks
  bool device_fails = false;
  uint64_t device_room = ~uint64_t{0};  // what others have left of the device for us
  std::deque<Effect> device_jobs;
  std::vector<SendGrant> grant_log;  // of all clients, in order
  std::map<SlabId, uint64_t> device_slabs;
  uint64_t peak_device_bytes = 0, device_bytes = 0;

 private:
  friend class Client;
  void Do(const AllocateSlab& job);
  void Do(const FreeSlab& job);
  std::map<SessionId, std::unique_ptr<Client>> clients_;
  int32_t next_pid_ = 100;
};

inline Settings SmallSettings() {
  Settings settings;
  settings.capacity_bytes = kGiB;
  settings.limit_bytes = kGiB;
  settings.slab_bytes = 64 * kMiB;
  settings.small_slab_bytes = 4 * kMiB;
  return settings;
}

}  // namespace nvcv_cached::server
