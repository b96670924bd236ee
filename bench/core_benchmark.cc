// The daemon's core alone: what it costs to find and take the least recently used idle lease among
// 100,000.
//
// Four sessions of 25,000 idle leases each, the limit exactly met: each Acquire has to take one
// victim first. "Stale" has had every lease used once more since the daemon last looked, the worst
// case for its record. No daemon needed. Names are read by bench/run.py; keep them.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "server/core/books.h"

namespace nvcv_cached::server {
namespace {

constexpr int kSessions = 4;
constexpr int kLeases = 25'000;
constexpr uint64_t kBytes = 4096;

struct TableDeleter {
  void operator()(lease_table::Table* table) const { std::free(table); }
};

// One client: its table and the leases it was granted, oldest first.
struct Client {
  SessionId id = 0;
  std::unique_ptr<lease_table::Table, TableDeleter> table{
      static_cast<lease_table::Table*>(std::calloc(1, lease_table::kTableBytes))};
  struct Entry {
    uint32_t slot;
    lease_table::Word word;
  };
  std::deque<Entry> idle;
};

class Crowd {
 public:
  Crowd() : books_(Options(), 1, clock_) {
    for (Client& client : clients_) {
      client.id =
          books_.OpenSession({.domain = "uid:0", .name = "bench", .pid = 1}, client.table.get());
    }
    for (int i = 0; i < kLeases; ++i) {
      for (Client& client : clients_) AcquireAndRelease(client);
    }
    books_.SetLimit(books_.GetPool().cache_bytes);
  }

  // What is measured: at the limit, so that one idle lease has to go.
  bool AcquireAndRelease(Client& client) {
    (void)books_.Acquire(client.id, {.id = 1, .size_bytes = kBytes, .alignment = 512});
    return Serve();
  }

  // Every idle lease is used once more, behind the daemon's back.
  void Reuse() {
    ++now_ms_;
    for (Client& client : clients_) {
      for (Client::Entry& entry : client.idle) {
        auto& slot = client.table->slots[entry.slot];
        if (auto held = lease_table::Reuse(slot, entry.word)) {
          entry.word = *lease_table::Release(slot, *held, std::nullopt, now_ms_);
        }
      }
    }
  }

  Client& client(int i) { return clients_[i % kSessions]; }

 private:
  static Settings Options() {
    Settings settings;
    settings.capacity_bytes = uint64_t{8} << 30;
    settings.limit_bytes = uint64_t{8} << 30;
    settings.keep_time = std::chrono::hours(1);
    return settings;
  }

  bool Serve() {
    bool granted = false;
    for (Effects effects = books_.TakeEffects(); !effects.empty(); effects = books_.TakeEffects()) {
      for (const Effect& effect : effects) {
        if (auto* slab = std::get_if<AllocateSlab>(&effect)) books_.SlabReady(slab->slab);
        auto* grant = std::get_if<SendGrant>(&effect);
        if (grant == nullptr) continue;
        Client& client = clients_[grant->session - clients_[0].id];
        for (const GrantedLease& lease : grant->leases) {
          auto word = lease_table::Release(client.table->slots[lease.slot], lease.word,
                                           std::nullopt, now_ms_);
          client.idle.push_back({lease.slot, *word});
        }
        granted = true;
      }
    }
    return granted;
  }

  uint32_t now_ms_ = 1;
  SystemClock clock_;
  Books books_;
  std::array<Client, kSessions> clients_;
};

void ReclaimAmong100k(benchmark::State& state) {
  Crowd crowd;
  int i = 0;
  for (auto _ : state) {
    if (!crowd.AcquireAndRelease(crowd.client(i++))) state.SkipWithError("no grant");
  }
}
BENCHMARK(ReclaimAmong100k)->Iterations(20'000)->Unit(benchmark::kMicrosecond);

void ReclaimAmong100kStale(benchmark::State& state) {
  Crowd crowd;
  int i = 0;
  for (auto _ : state) {
    state.PauseTiming();
    crowd.Reuse();
    state.ResumeTiming();
    if (!crowd.AcquireAndRelease(crowd.client(i++))) state.SkipWithError("no grant");
  }
}
BENCHMARK(ReclaimAmong100kStale)->Iterations(100)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace nvcv_cached::server

BENCHMARK_MAIN();
