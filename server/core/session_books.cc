#include "server/core/session_books.h"

#include <algorithm>
#include <limits>

namespace nvcv_cached::server::core {

namespace {

// What a counter has grown by; a client that writes nonsense cannot make a sum fall or wrap.
void AddGrowth(uint64_t now, uint64_t& seen, uint64_t& line, uint64_t& sum) {
  constexpr uint64_t kMost = uint64_t{1} << 48;
  const uint64_t grown = std::min(now > seen ? now - seen : 0, kMost);
  seen = now;
  const auto add = [grown](uint64_t& to) {
    to = grown > std::numeric_limits<uint64_t>::max() - to ? std::numeric_limits<uint64_t>::max()
                                                           : to + grown;
  };
  add(line);
  add(sum);
}

}  // namespace

Lease* SessionBooks::TakeVacant(uint64_t epoch) {
  if (!vacant_.empty()) {
    Lease* taken = &lease(vacant_.back());
    vacant_.pop_back();
    return taken;
  }
  if (granted_slots_ == lease_table::kSlots) return nullptr;
  if (granted_slots_ % kChunk == 0)
    chunks_.push_back(std::make_unique<std::array<Lease, kChunk>>());
  const uint32_t index = granted_slots_++;
  Lease& fresh = lease(index);
  fresh.session = this;
  fresh.slot = index;
  fresh.word = lease_table::Word::First(epoch);
  slot(index).word.store(fresh.word.bits(), std::memory_order_release);
  return &fresh;
}

bool SessionBooks::TakeLost(uint64_t size_bytes, uint64_t since_ms) {
  while (!lost.empty() && lost.front().at_ms < since_ms) lost.pop_front();
  for (auto it = lost.begin(); it != lost.end(); ++it) {
    if (it->size_bytes != size_bytes) continue;
    lost.erase(it);
    return true;
  }
  return false;
}

uint32_t SessionBooks::ThreadTag(const Lease& lease) const {
  const uint32_t tag = slot(lease.slot).thread_tag.load(std::memory_order_relaxed);
  return tag < lease_table::kCounterLines ? tag : lease.thread_tag;
}

uint64_t SessionBooks::LastUsedMs(const Lease& lease, uint64_t now_ms) const {
  const uint64_t age = now_ms - opened_ms;
  const uint32_t used = slot(lease.slot).last_used.load(std::memory_order_relaxed);
  // Compared modulo 2^32: how long before now, where a small step into the future is now.
  const uint32_t before = static_cast<uint32_t>(age) - used;
  if (before > uint32_t{1} << 31) return now_ms;
  return before > age ? opened_ms : now_ms - before;
}

void SessionBooks::SumCounters() {
  // Lines are given out from the lowest; whole pages are read until one is all zeros (an untouched
  // page of a sealed memfd would be committed by reading it).
  constexpr size_t kPageLines = 4096 / sizeof(lease_table::CounterLine);
  size_t lines = std::max(lines_seen.size(), misses_by_tag.size());
  lines =
      std::min<size_t>(RoundUp(std::max<size_t>(lines, 1), kPageLines), lease_table::kCounterLines);
  bool any = true;
  for (size_t begin = 0; begin < lease_table::kCounterLines && (begin < lines || any);
       begin += kPageLines) {
    any = false;
    lines_seen.resize(std::max(lines_seen.size(), begin + kPageLines));
    hits_by_tag.resize(lines_seen.size());
    for (size_t i = begin; i < begin + kPageLines; ++i) {
      const lease_table::CounterLine& line = table->counters[i];
      const Hits now{line.hits_exact.load(std::memory_order_relaxed),
                     line.hits_size_class.load(std::memory_order_relaxed),
                     line.hits_depot.load(std::memory_order_relaxed)};
      any |= (now.exact | now.size_class | now.depot) != 0;
      AddGrowth(now.exact, lines_seen[i].exact, hits_by_tag[i].exact, hits.exact);
      AddGrowth(now.size_class, lines_seen[i].size_class, hits_by_tag[i].size_class,
                hits.size_class);
      AddGrowth(now.depot, lines_seen[i].depot, hits_by_tag[i].depot, hits.depot);
    }
  }
}

}  // namespace nvcv_cached::server::core
