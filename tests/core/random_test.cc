// A random trace against a reference model (M1, M2, M4, C1, C4 to C6, C8, C9).
//
// The model is the clients' own view: every lease with its words, fences and bytes. After each step
// it says what the books must say: bytes in use, idle and draining, what counts toward the limits,
// whose block may have been granted to whom, and whether evictions went by age.
// NVCV_CACHED_TEST_STEPS sets the length (1,000,000), NVCV_CACHED_TEST_SEED the seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/core/world.h"

namespace nvcv_cached::server {
namespace {

using lease_table::Fence;
using lease_table::State;
using lease_table::Word;

constexpr size_t kMaxLeases = 100;  // per world; an eviction's search sees them all
constexpr uint16_t kTimelineCount = 4;

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

struct Item {
  SessionId session = 0;
  Handle handle;
  State state = State::kHeld;  // as the client left it
  bool revoked_at_grant = false;
  Fence fence;  // of its last release
  uint64_t released_ms = 0;
  bool seen_taken = false;  // the daemon has revoked it, and the model has noticed
};

struct Process {
  Client* client = nullptr;
  Domain domain;
  std::vector<std::shared_ptr<Item>> items;
  uint64_t done[kTimelineCount] = {};
  uint64_t next_counter[kTimelineCount] = {1, 1, 1, 1};
  bool leaving = false, exited = false, closed = false;
  bool serves() const { return !leaving && !exited && !closed; }
};

// Who had which bytes of which slab last.
struct Claim {
  uint64_t end;
  std::shared_ptr<Item> item;
};

class Trace {
 public:
  explicit Trace(uint64_t seed) : random_(seed), world_(Options()) {
    for (int i = 0; i < 3; ++i) OpenProcess();
  }

  void Step() {
    const uint64_t kind = Below(100);
    world_.clock.Advance(Duration(1));
    const Totals before = world_.books.GetTotals();
    by_age_ = false;
    Process& process = *processes_[Below(processes_.size())];
    if (kind < 34) {
      Acquire(process);
    } else if (kind < 55) {
      Release(process);
    } else if (kind < 68) {
      Reuse(process);
    } else if (kind < 76) {
      Return(process);
    } else if (kind < 82) {
      FinishFences(process);
    } else if (kind < 88) {
      world_.Advance(Duration(Below(40)));
    } else if (kind < 92) {
      world_.DeviceWorks();
    } else if (kind < 94) {
      Unmap(process);
    } else if (Below(6) == 0) {
      Rare(process);
    }
    world_.Run();
    Collect();
    Check(before);
  }

  // Everybody goes; everything must come back.
  void End() {
    world_.device_fails = false;
    world_.device_waits = false;
    world_.DeviceWorks();
    for (auto& process : processes_) {
      world_.books.ProcessExited(process->client->id());
      world_.books.SocketClosed(process->client->id());
    }
    world_.Run();
    world_.DeviceWorks();
    world_.books.Trim(0);
    world_.Run();
    const PoolReport pool = world_.Pool();
    EXPECT_EQ(pool.pool_bytes, 0u);
    EXPECT_EQ(pool.sessions, 0u);
    EXPECT_EQ(world_.device_bytes, 0u);
  }

  std::string Summary() {
    const Totals t = world_.books.GetTotals();
    std::string text = "misses pool " + std::to_string(t.misses_pool) + " reclaim " +
                       std::to_string(t.misses_reclaim) + " grow " + std::to_string(t.misses_grow) +
                       " refused " + std::to_string(t.misses_refused) + ", uncached " +
                       std::to_string(t.uncached_grants) + ", detached " +
                       std::to_string(t.detached) + ", ahead " + std::to_string(t.granted_ahead) +
                       ", sessions " + std::to_string(t.sessions) + ", evictions";
    for (const uint64_t n : t.evictions) text += " " + std::to_string(n);
    return text;
  }

 private:
  static Settings Options() {
    Settings settings;
    settings.capacity_bytes = 96 * kMiB;
    settings.limit_bytes = 40 * kMiB;
    settings.slab_bytes = 16 * kMiB;
    settings.small_slab_bytes = 2 * kMiB;
    settings.trim_after = Duration(500);
    settings.keep_time = Duration(20);
    return settings;
  }

  uint64_t Below(uint64_t bound) { return random_() % bound; }

  void OpenProcess() {
    auto process = std::make_unique<Process>();
    process->domain = Below(3) == 0 ? "uid:2" : "uid:1";
    process->client = &world_.Open("p", process->domain);
    process->client->unmaps = Below(2) == 0;
    processes_.push_back(std::move(process));
  }

  Item* Pick(Process& process, State state) {
    if (process.exited || process.items.empty()) return nullptr;
    const size_t start = Below(process.items.size());
    for (size_t i = 0; i < process.items.size(); ++i) {
      Item& item = *process.items[(start + i) % process.items.size()];
      if (item.state == state) return &item;
    }
    return nullptr;
  }

  uint64_t Size() {
    switch (Below(4)) {
      case 0:
        return 1 + Below(4096);
      case 1:
        return 1 + Below(256 * kKiB);
      case 2:
        return 512 * (1 + Below(4096));
      default:
        return 1 + Below(Below(20) == 0 ? 48 * kMiB : 6 * kMiB);
    }
  }

  void Acquire(Process& process) {
    size_t items = 0;
    for (auto& each : processes_) items += each->items.size();
    if (!process.serves() || items >= kMaxLeases) return;
    Client::Options options;
    options.alignment = Below(4) == 0 ? uint64_t{1} << Below(22) : 1;
    options.thread_tag = static_cast<uint32_t>(Below(3));
    options.timeout = Duration(Below(2) * Below(60));
    options.ahead = Below(8) == 0 ? static_cast<uint32_t>(Below(6)) : 0;
    by_age_ = limited_.empty() && world_.books.settings().policy == Policy::kLru;
    process.client->Ask(Size(), options);
  }

  void Release(Process& process) {
    Item* item = Pick(process, State::kHeld);
    if (item == nullptr) return;
    std::optional<Fence> fence;
    if (Below(2) == 0) {
      const auto line = static_cast<uint16_t>(Below(kTimelineCount));
      fence = Fence(line, process.next_counter[line]++);
      item->fence = *fence;
    }
    item->released_ms = NowMs();
    if (process.client->Release(item->handle, fence)) {
      item->state = State::kIdle;
    } else {
      process.client->Return(
          item->handle, Below(2) == 0 ? Client::Message::kSend : Client::Message::kForget, fence);
      item->state = State::kReturned;
    }
  }

  void Reuse(Process& process) {
    Item* item = Pick(process, State::kIdle);
    if (item == nullptr) return;
    if (process.client->Reuse(item->handle)) {
      item->state = State::kHeld;
    } else {
      EXPECT_FALSE(OnBooks(process, *item)) << "a hit that failed without a revoke";
      item->state = State::kEmpty;
    }
  }

  void Return(Process& process) {
    Item* item = Pick(process, Below(2) == 0 ? State::kHeld : State::kIdle);
    if (item == nullptr) return;
    process.client->Return(item->handle,
                           Below(2) == 0 ? Client::Message::kSend : Client::Message::kForget);
    item->state = State::kReturned;
  }

  void FinishFences(Process& process) {
    for (uint16_t line = 0; line < kTimelineCount; ++line) {
      if (Below(2) == 0) continue;
      const uint64_t begun = process.next_counter[line] - 1;
      const uint64_t late = std::min<uint64_t>(begun, Below(3) == 0 ? 1 : 0);
      process.done[line] = std::max(process.done[line], begun - late);
      process.client->FinishFence(line, process.done[line]);
    }
  }

  void Unmap(Process& process) {
    if (process.exited) return;
    for (const SlabId slab : process.client->retiring) {
      EXPECT_TRUE(world_.books.Unmapped(process.client->id(), slab).ok());
      process.client->slabs.erase(slab);
    }
    process.client->retiring.clear();
  }

  void Rare(Process& process) {
    const SessionId id = process.client->id();
    switch (Below(14)) {
      case 0:
        by_age_ = limited_.empty() && world_.books.settings().policy == Policy::kLru;
        world_.books.SetLimit(Below(4) == 0 ? 0 : Below(80 * kMiB));
        break;
      case 1:
        if (!process.serves() || Below(4) != 0) break;
        world_.books.SetSessionLimit(id, Below(60 * kMiB));
        limited_.insert(id);
        break;
      case 2:
        (void)world_.books.SetQuota(id,
                                    Below(2) == 0 ? std::optional(Below(80 * kMiB)) : std::nullopt);
        break;
      case 3:
        world_.books.SetPolicy(Below(4) == 0 ? Policy::kClear : Policy::kLru);
        break;
      case 4:
        world_.books.Clear({Below(2) == 0 ? id : 0, std::nullopt});
        break;
      case 5:
        world_.books.Clear({id, static_cast<uint32_t>(Below(3))});
        break;
      case 6:
        world_.books.Trim(Below(32 * kMiB));
        break;
      case 7:
        world_.books.SetCapacity(64 * kMiB + Below(64 * kMiB));
        break;
      case 8:
        process.exited = true;
        world_.books.ProcessExited(id);
        break;
      case 9:
        process.closed = true;
        world_.books.SocketClosed(id);
        break;
      case 10:
        process.leaving = true;
        world_.books.SaidGoodbye(id);
        break;
      case 11:
        if (processes_.size() < 6) OpenProcess();
        break;
      case 12:
        world_.device_waits = !world_.device_waits;
        world_.DeviceWorks();
        break;
      default:
        world_.device_fails = !world_.device_fails && Below(4) == 0;
        break;
    }
  }

  uint64_t NowMs() const {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<Duration>(world_.clock.Now().time_since_epoch()).count());
  }

  bool FenceDone(const Process& process, Fence fence) const {
    return fence == Fence() || process.done[fence.timeline()] >= fence.counter();
  }

  // The daemon has not taken it, as its own table says.
  bool OnBooks(Process& process, const Item& item) {
    const Word word(process.client->slot(item.handle).word.load());
    return word.bits() == item.handle.word.bits() && !word.revoked();
  }

  Process* FindProcess(SessionId id) {
    for (auto& process : processes_) {
      if (process->client->id() == id) return process.get();
    }
    return nullptr;
  }

  // Takes in what was granted, in order, and checks that the bytes were anybody's to give.
  void Collect() {
    for (const SendGrant& grant : world_.grant_log) {
      Process* process = FindProcess(grant.session);
      ASSERT_NE(process, nullptr);
      EXPECT_TRUE(process->serves());
      for (const GrantedLease& lease : grant.leases) {
        auto item = std::make_shared<Item>();
        item->session = grant.session;
        item->handle =
            Handle{lease.slot, lease.word, lease.block, process->client->SizeOf(grant.request)};
        item->state = lease.word.state();
        item->revoked_at_grant = lease.word.revoked();
        item->released_ms = NowMs();
        EXPECT_GE(lease.block.size, item->handle.size);
        CheckBlock(*process, item);
        process->items.push_back(item);
      }
    }
    world_.grant_log.clear();
    for (auto& process : processes_) process->client->ForgetAnswers();
    for (size_t i = 0; i < processes_.size(); ++i) {
      if (!processes_[i]->client->ended) continue;
      Process& process = *processes_[i];
      EXPECT_TRUE((process.exited && process.closed) || process.leaving);
      limited_.erase(process.client->id());
      world_.Forget(process.client->id());
      processes_.erase(processes_.begin() + static_cast<ptrdiff_t>(i--));
      if (processes_.size() < 2) OpenProcess();
    }
  }

  void CheckBlock(Process& process, const std::shared_ptr<Item>& item) {
    const Block& block = item->handle.block;
    EXPECT_TRUE(process.client->slabs.contains(block.slab));
    EXPECT_FALSE(process.client->retiring.contains(block.slab)) << "M3";
    auto [it, fresh] = domains_.try_emplace(block.slab, process.domain);
    EXPECT_EQ(it->second, process.domain) << "M4";
    auto& claims = claims_[block.slab];
    const uint64_t end = block.offset + block.size;
    auto claim = claims.lower_bound(block.offset);
    if (claim != claims.begin() && std::prev(claim)->second.end > block.offset) --claim;
    while (claim != claims.end() && claim->first < end) {
      CheckHandover(*claim->second.item);
      claim = claims.erase(claim);
    }
    claims[block.offset] = {end, item};
  }

  // The former lease is over, and its last fence was done or its process is gone.
  void CheckHandover(const Item& former) {
    Process* process = FindProcess(former.session);
    if (process == nullptr || process->client->ended) return;
    const Word word(process->client->slot(former.handle).word.load());
    EXPECT_GT(word.version(), former.handle.word.version()) << "M1: granted twice";
    EXPECT_NE(former.state, State::kHeld) << "M1: taken from its holder";
    EXPECT_TRUE(FenceDone(*process, former.fence)) << "M2: its fence was not done";
  }

  void Check(const Totals& before) {
    // What a report finds returned may serve those who wait; the second one says how that ended.
    (void)world_.books.GetPool();
    world_.Run();
    Collect();
    const PoolReport pool = world_.books.GetPool();
    uint64_t cached = 0, items = 0, leased = 0;
    uint64_t oldest_kept_ms = UINT64_MAX, youngest_taken_ms = 0;
    bool in_use_taken = false;
    for (auto& process : processes_) {
      for (auto& item : process->items) {
        const Word word(process->client->slot(item->handle).word.load());
        const bool same = word.version() == item->handle.word.version();
        ASSERT_TRUE(same || item->state != State::kHeld) << "M1: a lease in use was emptied";
        const bool taken = !same || word.revoked();
        if (taken && !item->seen_taken && item->state != State::kReturned) {
          item->seen_taken = true;
          if (item->state == State::kIdle)
            youngest_taken_ms = std::max(youngest_taken_ms, item->released_ms);
          in_use_taken |= item->state == State::kHeld && !item->revoked_at_grant;
        }
        if (!taken && item->state != State::kReturned) {
          EXPECT_TRUE(process->serves());
          cached += item->handle.size;
          ++items;
          if (item->state == State::kIdle)
            oldest_kept_ms = std::min(oldest_kept_ms, item->released_ms);
          leased += item->handle.size;
        } else if (same && item->state == State::kHeld) {
          leased += item->handle.size;
        }
      }
      std::erase_if(process->items, [&](const std::shared_ptr<Item>& item) {
        const Word word(process->client->slot(item->handle).word.load());
        return word.version() != item->handle.word.version();
      });
    }
    EXPECT_EQ(pool.cache_bytes, cached);
    EXPECT_EQ(pool.cache_items, items);
    EXPECT_LE(pool.cache_bytes, pool.limit_bytes);
    EXPECT_EQ(pool.in_use + pool.idle + pool.quarantined, leased);
    EXPECT_EQ(pool.in_use + pool.idle + pool.draining + pool.quarantined + pool.free + pool.slack,
              pool.pool_bytes);
    if (by_age_) {
      const Totals after = world_.books.GetTotals();
      const auto delta = [&](EvictReason reason) {
        return after.evictions[static_cast<size_t>(reason)] -
               before.evictions[static_cast<size_t>(reason)];
      };
      if (delta(EvictReason::kPressure) == 0 && delta(EvictReason::kQuota) == 0) {
        EXPECT_LE(youngest_taken_ms, oldest_kept_ms) << "C5: a younger idle lease went first";
        if (in_use_taken && after.granted_ahead == before.granted_ahead) {
          EXPECT_EQ(oldest_kept_ms, UINT64_MAX) << "C5: one in use went before an idle one";
        }
      }
    }
    if (++steps_ % 64 == 0) world_.books.CheckInvariants();
  }

  std::mt19937_64 random_;
  World world_;
  std::vector<std::unique_ptr<Process>> processes_;
  std::map<SlabId, Domain> domains_;
  std::map<SlabId, std::map<uint64_t, Claim>> claims_;
  std::set<SessionId> limited_;  // have a limit of their own
  uint64_t steps_ = 0;
  bool by_age_ = false;  // this step may evict, and only by age
};

TEST(Random, M1_M2_M4_C6_TraceAgreesWithTheModel) {
  const uint64_t steps = FromEnvironment("NVCV_CACHED_TEST_STEPS", 1'000'000);
  const uint64_t seed = FromEnvironment("NVCV_CACHED_TEST_SEED", 20261123);
  std::cout << "seed " << seed << ", " << steps << " steps\n";
  constexpr uint64_t kStepsPerTrace = 50'000;
  for (uint64_t done = 0; done < steps; done += kStepsPerTrace) {
    SCOPED_TRACE("NVCV_CACHED_TEST_SEED=" + std::to_string(seed + done));
    Trace trace(seed + done);
    for (uint64_t i = 0; i < std::min(kStepsPerTrace, steps - done); ++i) {
      trace.Step();
      ASSERT_FALSE(::testing::Test::HasFailure()) << "step " << i;
    }
    if (done == 0) std::cout << trace.Summary() << "\n";
    trace.End();
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace nvcv_cached::server
