#include "server/core/ledger.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"

namespace nvcv_cached::server::core {

using lease_table::Seen;
using lease_table::State;
using lease_table::Word;

namespace {

constexpr size_t kMostLost = 256;

// Shown by whoever looks at the table before the client has written its own text.
void StoreText(lease_table::Slot& slot, const std::string& text) {
  char bytes[lease_table::kSpecBytes] = {};
  text.copy(bytes, sizeof bytes);
  for (size_t i = 0; i < lease_table::kSpecWords; ++i) {
    uint64_t word;
    std::memcpy(&word, bytes + i * sizeof word, sizeof word);
    slot.spec[i].store(word, std::memory_order_relaxed);
  }
}

}  // namespace

uint64_t Ledger::BlockBytes(uint64_t size_bytes) const {
  return RoundUp(size_bytes, std::max(kBlockBytes, settings.block_alignment));
}

Ledger::GrantResult Ledger::Grant(SessionBooks& session, const AcquireRequest& request, GrantAs as,
                                  Fit fit, SendGrant& grant) {
  if (!session.HasVacant()) return GrantResult::kTableFull;
  const uint64_t bytes = BlockBytes(request.size_bytes);
  const SizeClass size_class = bytes <= kSmallBlockBytes ? SizeClass::kSmall : SizeClass::kLarge;
  Lease* lease = session.TakeVacant(epoch);
  Extent* extent =
      pool.Allocate(session.group(size_class), bytes, std::max(request.alignment, kBlockBytes), fit,
                    session.maps(), lease);
  if (extent == nullptr) {
    session.PutVacant(lease);
    return GrantResult::kNoBlock;
  }
  lease_table::Slot& slot = session.slot(lease->slot);
  slot.thread_tag.store(request.thread_tag, std::memory_order_relaxed);
  slot.last_used.store(static_cast<uint32_t>(now_ms - session.opened_ms),
                       std::memory_order_relaxed);
  StoreText(slot, request.spec);
  const std::optional<Word> word =
      as == GrantAs::kAhead      ? lease_table::GrantAhead(slot, lease->word)
      : as == GrantAs::kUncached ? lease_table::GrantUncached(slot, lease->word)
                                 : lease_table::Grant(slot, lease->word);
  lease->extent = extent;
  if (!word) {
    Condemn(session, "wrote into a slot that was not its own", *lease);
    lease->extent = nullptr;  // the slot is spoiled: it is not used again
    pool.Free(extent, now);
    return GrantResult::kPoisoned;
  }
  lease->word = *word;
  lease->size_bytes = request.size_bytes;
  lease->size_class = size_class;
  lease->thread_tag = request.thread_tag;
  lease->first_release = word->version() + (as == GrantAs::kAhead ? 2 : 1);
  lease->reused = as == GrantAs::kKept;
  lease->key = {now_ms, index.NextSeq()};
  ++session.leases;
  session.leased_bytes += request.size_bytes;
  if (as == GrantAs::kUncached) {
    lease->state = LeaseState::kDetached;
    ++totals.uncached_grants;
  } else {
    lease->state = LeaseState::kCached;
    session.cache_bytes += request.size_bytes;
    ++session.cache_items;
    cache_bytes += request.size_bytes;
    ++cache_items;
    index.Add(lease);
  }
  const Slab& slab = *extent->slab;
  if (session.mapped.insert(slab.id).second) {
    extent->slab->mapped_by.insert(session.id);
    grant.new_slabs.push_back({slab.id, slab.size_bytes});
  }
  grant.leases.push_back({lease->slot, *word, {slab.id, extent->offset, extent->size}});
  return GrantResult::kGranted;
}

bool Ledger::Plausible(const Lease& lease, Word word) const {
  if (lease.lied || word.state() == State::kEmpty || word.version() < lease.word.version())
    return false;
  if (word.version() == lease.word.version() && word != lease.word) return false;
  switch (lease.state) {
    case LeaseState::kCached:
      return !word.revoked();
    case LeaseState::kDetached:
      // Revoked while held: it can only be returned from there.
      return word.revoked() && word.state() != State::kIdle;
    case LeaseState::kDraining:
      return lease_table::Settled(word);
    case LeaseState::kVacant:
      break;
  }
  return false;
}

void Ledger::Condemn(SessionBooks& session, const char* what, Lease& lease) {
  if (lease.state == LeaseState::kDraining && !lease.lied) ++draining_lied;
  lease.lied = true;
  if (session.broken) return;
  session.broken = true;
  condemned.push_back(session.id);
  effects.emplace_back(KillSession{
      session.id, absl::InvalidArgumentError(absl::StrCat(
                      "session ", session.id, " ", what, ": slot ", lease.slot, "; found word ",
                      absl::Hex(session.slot(lease.slot).word.load(std::memory_order_relaxed)),
                      ", last known ", absl::Hex(lease.word.bits()),
                      "; the session is ended, its memory comes back when the process exits"))});
}

Sight Ledger::Peek(const Lease& lease) const {
  const Word word = lease_table::Look(lease.session->slot(lease.slot)).word;
  if (!Plausible(lease, word)) return Sight::kHeld;
  if (lease_table::Settled(word)) return Sight::kGone;
  return word.state() == State::kIdle ? Sight::kIdle : Sight::kHeld;
}

bool Ledger::FenceDone(const Lease& lease) const {
  const Seen seen = lease_table::Look(lease.session->slot(lease.slot));
  return lease_table::IsDone(lease.session->table->timelines, lease_table::kTimelines, seen.fence);
}

Sight Ledger::Look(Lease& lease) {
  SessionBooks& session = *lease.session;
  const Word word = lease_table::Look(session.slot(lease.slot)).word;
  if (!Plausible(lease, word)) {
    Condemn(session, "wrote a word that no client may write", lease);
    if (lease.state == LeaseState::kCached) {
      LeaveBooks(lease);
      ++totals.detached;
    }
    return Sight::kHeld;
  }
  const bool moved = word != lease.word;
  lease.word = word;
  if (lease_table::Settled(word)) {
    if (lease.state == LeaseState::kCached) LeaveBooks(lease);
    if (lease.state == LeaseState::kDetached) StartDraining(lease);
    TryReap(lease);
    return Sight::kGone;
  }
  if (lease.state != LeaseState::kCached) return Sight::kHeld;
  if (!lease.reused && word.version() > lease.first_release) {
    const bool in = lease.heap_at != kNowhere;
    if (in) index.Remove(&lease);
    lease.reused = true;
    if (in) index.Add(&lease);
  }
  if (word.state() == State::kHeld) {
    // In use now, so not released before now; behind what was seen at this moment already.
    index.Rekey(&lease, {now_ms, index.NextSeq()});
    return Sight::kHeld;
  }
  if (moved) {
    const uint64_t used_ms = session.LastUsedMs(lease, now_ms);
    if (used_ms != lease.key.used_ms) index.Rekey(&lease, {used_ms, lease.key.seq});
  }
  return Sight::kIdle;
}

void Ledger::LeaveBooks(Lease& lease) {
  index.Remove(&lease);
  lease.state = LeaseState::kDetached;
  lease.session->cache_bytes -= lease.size_bytes;
  --lease.session->cache_items;
  cache_bytes -= lease.size_bytes;
  --cache_items;
}

void Ledger::StartDraining(Lease& lease) {
  lease.state = LeaseState::kDraining;
  lease.session->leased_bytes -= lease.size_bytes;
  lease.session->draining_bytes += lease.size_bytes;
  lease.draining_at = static_cast<uint32_t>(draining.size());
  draining.push_back(&lease);
  if (lease.lied) ++draining_lied;
}

bool Ledger::TryReap(Lease& lease) {
  SessionBooks& session = *lease.session;
  lease_table::Slot& slot = session.slot(lease.slot);
  // A client may return what was taken from it idle in this very moment; it can do so once.
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Seen seen = lease_table::Look(slot);
    if (!Plausible(lease, seen.word)) {
      Condemn(session, "wrote a word that no client may write", lease);
      return false;
    }
    lease.word = seen.word;
    if (!lease_table::Drained(session.table->timelines, lease_table::kTimelines, seen))
      return false;
    if (const std::optional<Word> empty = lease_table::Reap(slot, seen.word)) {
      lease.word = *empty;
      FreeBlock(lease);
      session.PutVacant(&lease);
      return true;
    }
  }
  return false;
}

void Ledger::FreeBlock(Lease& lease) {
  SessionBooks& session = *lease.session;
  if (lease.state == LeaseState::kCached) LeaveBooks(lease);
  if (lease.state == LeaseState::kDetached) StartDraining(lease);
  session.draining_bytes -= lease.size_bytes;
  if (lease.lied) --draining_lied;
  Lease* last = draining.back();
  last->draining_at = lease.draining_at;
  draining[lease.draining_at] = last;
  draining.pop_back();
  lease.draining_at = kNowhere;
  lease.state = LeaseState::kVacant;
  pool.Free(std::exchange(lease.extent, nullptr), now);
  --session.leases;
  ++freed;
}

void Ledger::Take(Lease& lease, EvictReason reason, Evicted& evicted) {
  NVCV_CACHED_CHECK(lease.state == LeaseState::kCached);
  SessionBooks& session = *lease.session;
  const Word before = lease_table::Revoke(session.slot(lease.slot));
  if (!Plausible(lease, before)) {
    Condemn(session, "wrote a word that no client may write", lease);
    LeaveBooks(lease);
    ++totals.detached;
    return;
  }
  LeaveBooks(lease);
  const bool seen_idle = lease.word.state() == State::kIdle;
  lease.word = before.WithRevoked();
  if (before.state() == State::kHeld) {
    if (seen_idle) ++totals.reclaims_lost;
    ++totals.detached;
    ++evicted.detached_items;
    evicted.detached_bytes += lease.size_bytes;
    return;
  }
  StartDraining(lease);
  const bool free = TryReap(lease);
  if (before.state() != State::kIdle) return;
  if (reason == EvictReason::kPressure && before.version() <= lease.first_release) {
    session.lost.push_back({lease.size_bytes, now_ms});
    if (session.lost.size() > kMostLost) session.lost.pop_front();
  }
  ++evicted.items;
  evicted.bytes += lease.size_bytes;
  ++totals.evictions[static_cast<size_t>(reason)];
  totals.evicted_bytes[static_cast<size_t>(reason)] += lease.size_bytes;
  ++(free ? totals.reclaims_taken : totals.reclaims_fence);
  const TimePoint taken = clock.Now();
  totals.reclaim_duration.Add(taken - std::exchange(victim_since, taken));
}

void Ledger::TakeAll(SessionBooks& session) {
  session.ForEachLease([&](Lease& lease) {
    if (lease.state == LeaseState::kCached) {
      const Word before = lease_table::Revoke(session.slot(lease.slot));
      const bool plausible = Plausible(lease, before);
      LeaveBooks(lease);
      if (!plausible) {
        Condemn(session, "wrote a word that no client may write", lease);
        return;
      }
      lease.word = before.WithRevoked();
      if (lease_table::Settled(lease.word)) StartDraining(lease);
    }
    Look(lease);
  });
}

void Ledger::FreeAll(SessionBooks& session) {
  session.ForEachLease([&](Lease& lease) { FreeBlock(lease); });
}

void Ledger::LookAtDraining() {
  // From the back: a lease that is freed is replaced by the last one, which has been looked at.
  for (size_t i = draining.size(); i-- > 0;) {
    if (i < draining.size()) TryReap(*draining[i]);
  }
}

void Ledger::LookAtAll(SessionBooks& session) {
  session.ForEachLease([&](Lease& lease) { Look(lease); });
}

}  // namespace nvcv_cached::server::core
