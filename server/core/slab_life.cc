#include "server/core/slab_life.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"

namespace nvcv_cached::server::core {

namespace {
// After the device has refused a slab: how long not to ask again.
constexpr Duration kGrowAgain{100};
constexpr Duration kNever = std::chrono::hours(24 * 365 * 10);
// An honest client that runs has unmapped a slab by then, and a block has drained.
constexpr Duration kStuck{1000};
}  // namespace

uint64_t SlabLife::Capacity() const {
  const uint64_t device = ledger_.settings.device_bytes;
  return std::min(ledger_.settings.capacity_bytes,
                  device - std::min(device, ledger_.foreign_bytes));
}

uint64_t SlabLife::Bound() const {
  const uint64_t capacity = Capacity();
  return ledger_.now < grow_again_ ? std::min(capacity, refused_held_) : capacity;
}

bool SlabLife::Grow(const Wanted& wanted) {
  const uint64_t held = ledger_.pool.held_bytes();
  const uint64_t capacity = Capacity();
  const uint64_t least = LeastBytes(wanted);
  if (held > capacity || capacity - held < least) return false;
  const bool small = ledger_.pool.size_class(wanted.group) == SizeClass::kSmall;
  // Large blocks have slabs of their own, and so has what does not fit into a pool that lies in
  // pieces.
  const bool own = !small && (wanted.bytes > ledger_.settings.slab_bytes / 10 ||
                              ledger_.pool.Fragmented(wanted.group));
  uint64_t bytes = least;
  if (!own) {
    const uint64_t usual = RoundUp(
        small ? ledger_.settings.small_slab_bytes : ledger_.settings.slab_bytes, kPageBytes);
    bytes = std::max(least, std::min(usual, (capacity - held) / kPageBytes * kPageBytes));
  }
  if (JustRefused(bytes)) bytes = least;  // a device that is nearly full may have that
  if (JustRefused(bytes)) return false;
  // As much as comes goes back: what stands empty and did not suit, beyond what may be spare.
  std::vector<Slab*> empty = EmptySlabs();
  std::erase_if(empty, [&](const Slab* slab) { return slab->group != wanted.group; });
  uint64_t empty_bytes = 0;
  for (const Slab* slab : empty) empty_bytes += slab->size_bytes;
  uint64_t back = 0;
  for (Slab* slab : empty) {
    if (back >= bytes || empty_bytes - back <= ledger_.settings.spare_bytes) break;
    back += slab->size_bytes;
    Retire(*slab);
  }
  Evicted evicted;
  const bool cold_too = back < bytes && ledger_.settings.spare_bytes == 0;
  for (Slab* slab : cold_too ? EvictableSlabs() : std::vector<Slab*>()) {
    if (back >= bytes) break;
    // No more than comes, and nobody's of another domain: there is capacity left.
    if (back + slab->size_bytes > bytes || !Cold(*slab)) continue;
    if (ledger_.pool.domain(slab->group) != ledger_.pool.domain(wanted.group)) continue;
    back += slab->size_bytes;
    Doom(*slab, EvictReason::kPressure, evicted);
  }
  ledger_.effects.emplace_back(AllocateSlab{ledger_.pool.Add(wanted.group, bytes, own).id, bytes});
  return true;
}

bool SlabLife::Revive(const Wanted& wanted) {
  const auto fits = [&](const Slab& slab) {
    for (const Extent* e = slab.first; e != nullptr; e = e->next) {
      if (e->lease == nullptr && e->Fits(wanted.bytes, wanted.alignment)) return true;
    }
    return false;
  };
  Slab* best = nullptr;
  for (const auto& [id, slab] : ledger_.pool.slabs()) {
    if (slab->group != wanted.group || wanted.mapped.asked.contains(id)) continue;
    const bool comes_back =
        slab->state == SlabState::kRetiring || (slab->state == SlabState::kDoomed && Stuck(*slab));
    if (!comes_back || (best != nullptr && best->size_bytes <= slab->size_bytes)) continue;
    if (fits(*slab)) best = slab.get();
  }
  if (best == nullptr) return false;
  ledger_.pool.Serve(*best, ledger_.now);
  return ledger_.pool.HasFit(wanted.group, wanted.bytes, wanted.alignment, wanted.fit,
                             wanted.mapped);
}

bool SlabLife::Growing(const Wanted& wanted) const {
  if (ledger_.pool.InFlightBytes(wanted.group) == 0) return false;
  for (const auto& [id, slab] : ledger_.pool.slabs()) {
    if (slab->state == SlabState::kAllocating && slab->group == wanted.group &&
        slab->size_bytes >= wanted.bytes) {
      return true;
    }
  }
  return false;
}

bool SlabLife::Stuck(const Slab& slab) const {
  return (slab.state == SlabState::kDoomed || slab.state == SlabState::kRetiring) &&
         ledger_.now - slab.closed_since >= kStuck;
}

bool SlabLife::Evictable(const Slab& slab) const {
  if (slab.state != SlabState::kServing) return false;
  for (const Extent* e = slab.first; e != nullptr; e = e->next) {
    if (e->lease == nullptr || e->lease->state == LeaseState::kDraining) continue;
    if (e->lease->state != LeaseState::kCached) return false;
    if (ledger_.Peek(*e->lease) == Sight::kHeld) return false;
  }
  return true;
}

bool SlabLife::Cold(const Slab& slab) const {
  const auto keep_ms = static_cast<uint64_t>(ledger_.settings.keep_time.count());
  for (const Extent* e = slab.first; e != nullptr; e = e->next) {
    if (e->lease == nullptr) continue;
    if (e->lease->state != LeaseState::kCached || !ledger_.FenceDone(*e->lease)) return false;
    const uint64_t used_ms = e->lease->session->LastUsedMs(*e->lease, ledger_.now_ms);
    if (ledger_.now_ms - used_ms < keep_ms) return false;
  }
  return true;
}

std::vector<Slab*> SlabLife::EvictableSlabs() const {
  struct Candidate {
    bool undone;
    uint64_t last_used_ms;
    Slab* slab;
  };
  std::vector<Candidate> candidates;
  for (const auto& [id, slab] : ledger_.pool.slabs()) {
    if (slab->empty() || !Evictable(*slab)) continue;
    Candidate candidate{false, 0, slab.get()};
    for (const Extent* e = slab->first; e != nullptr; e = e->next) {
      if (e->lease == nullptr) continue;
      candidate.undone |= !ledger_.FenceDone(*e->lease);
      if (e->lease->state != LeaseState::kCached) continue;
      candidate.last_used_ms = std::max(candidate.last_used_ms,
                                        e->lease->session->LastUsedMs(*e->lease, ledger_.now_ms));
    }
    candidates.push_back(candidate);
  }
  std::stable_sort(
      candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
        return std::pair(a.undone, a.last_used_ms) < std::pair(b.undone, b.last_used_ms);
      });
  std::vector<Slab*> slabs;
  for (const Candidate& candidate : candidates) slabs.push_back(candidate.slab);
  return slabs;
}

std::vector<Slab*> SlabLife::EmptySlabs() const {
  std::vector<Slab*> slabs;
  for (const auto& [since, id] : ledger_.pool.empty_slabs()) slabs.push_back(ledger_.pool.Find(id));
  return slabs;
}

void SlabLife::Doom(Slab& slab, EvictReason reason, Evicted& evicted) {
  ledger_.pool.Close(slab, SlabState::kDoomed, ledger_.now);
  std::vector<Lease*> leases;
  for (Extent* e = slab.first; e != nullptr; e = e->next) {
    if (e->lease != nullptr && e->lease->state == LeaseState::kCached) leases.push_back(e->lease);
  }
  for (Lease* lease : leases) {
    if (lease->state == LeaseState::kCached) ledger_.Take(*lease, reason, evicted);
  }
  if (slab.empty()) Retire(slab);
}

bool SlabLife::MakeCapacity(const Wanted& wanted) {
  const uint64_t least = LeastBytes(wanted);
  const uint64_t bound = Bound();
  uint64_t staying = 0;
  // Those that nobody maps come back for certain: a silent process never answers a Retire.
  std::vector<Slab*> victims = EmptySlabs();
  std::stable_partition(victims.begin(), victims.end(),
                        [](const Slab* slab) { return slab->mapped_by.empty(); });
  for (const auto& [id, slab] : ledger_.pool.slabs()) {
    if (slab->state == SlabState::kServing || slab->state == SlabState::kAllocating ||
        Stuck(*slab)) {
      staying += slab->size_bytes;
    }
  }
  const auto enough = [&] { return staying <= bound && bound - staying >= least; };
  if (enough()) return true;
  // Longest empty first, then those that were used longest ago. Not those that suit once they have
  // drained: a process that is stopped does not unmap, and what it left serves others where it is.
  std::vector<Slab*> evictable = EvictableSlabs();
  std::erase_if(evictable, [&](const Slab* slab) {
    return slab->group == wanted.group && slab->size_bytes >= wanted.bytes;
  });
  victims.insert(victims.end(), evictable.begin(), evictable.end());
  size_t taken = 0;
  while (taken < victims.size() && !enough()) staying -= victims[taken++]->size_bytes;
  if (!enough()) return false;
  Evicted evicted;
  for (size_t i = 0; i < taken; ++i) Doom(*victims[i], EvictReason::kPressure, evicted);
  return true;
}

bool SlabLife::Freeing() const { return ledger_.pool.CountIn(SlabState::kFreeing) > 0; }

bool SlabLife::Returning() const {
  return Freeing() || ledger_.pool.CountIn(SlabState::kRetiring) > 0 ||
         ledger_.pool.CountIn(SlabState::kDoomed) > 0;
}

std::optional<GroupId> SlabLife::Ready(SlabId id) {
  Slab* slab = ledger_.pool.Find(id);
  if (slab == nullptr || slab->state != SlabState::kAllocating) return std::nullopt;
  ++ledger_.totals.slab_allocations;
  ++ledger_.freed;
  device_error_.clear();
  ledger_.pool.Serve(*slab, ledger_.now);
  return slab->group;
}

void SlabLife::Failed(SlabId id, const absl::Status& status) {
  Slab* slab = ledger_.pool.Find(id);
  if (slab == nullptr || slab->state != SlabState::kAllocating) return;
  device_error_ = std::string(status.message());
  // A smaller slab that is refused as well says more than the larger one before.
  refused_bytes_ =
      ledger_.now < grow_again_ ? std::min(refused_bytes_, slab->size_bytes) : slab->size_bytes;
  grow_again_ = ledger_.now + kGrowAgain;
  ledger_.pool.Remove(*slab, ledger_.now);
  refused_held_ = ledger_.pool.held_bytes();
  ++ledger_.freed;
}

void SlabLife::Freed(SlabId id) {
  Slab* slab = ledger_.pool.Find(id);
  if (slab == nullptr || slab->state != SlabState::kFreeing) return;
  ++ledger_.totals.slab_frees;
  ++ledger_.freed;
  ledger_.pool.Remove(*slab, ledger_.now);
  grow_again_ = ledger_.now;  // the device has more again
}

void SlabLife::Retire(Slab& slab) {
  NVCV_CACHED_CHECK(slab.empty());
  ledger_.pool.Close(slab, SlabState::kRetiring, ledger_.now);
  for (SessionId session : slab.mapped_by) {
    if (!slab.asked.insert(session).second) continue;
    ledger_.Find(session)->asked.insert(slab.id);
    ledger_.effects.emplace_back(SendRetire{session, slab.id});
  }
  FreeIfUnmapped(slab);
}

void SlabLife::FreeIfUnmapped(Slab& slab) {
  if (slab.state != SlabState::kRetiring || !slab.mapped_by.empty()) return;
  ledger_.pool.Close(slab, SlabState::kFreeing, ledger_.now);
  ledger_.effects.emplace_back(FreeSlab{slab.id});
}

absl::Status SlabLife::Unmapped(SessionBooks& session, SlabId id) {
  Slab* slab = ledger_.pool.Find(id);
  if (slab == nullptr || !session.asked.contains(id)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "session ", session.id, " says that it has unmapped slab ", id, "; found ",
        slab == nullptr                ? "no such slab"
        : !session.mapped.contains(id) ? "that it was never told of it, or has unmapped it"
                                       : "that it was not asked to"));
  }
  session.mapped.erase(id);
  session.asked.erase(id);
  slab->mapped_by.erase(session.id);
  slab->asked.erase(session.id);
  ++ledger_.freed;  // to this session it is memory again, should it serve once more
  FreeIfUnmapped(*slab);
  return absl::OkStatus();
}

void SlabLife::SessionEnds(SessionBooks& session) {
  std::vector<SlabId> mapped(session.mapped.begin(), session.mapped.end());
  session.mapped.clear();
  session.asked.clear();
  std::sort(mapped.begin(), mapped.end());
  for (SlabId id : mapped) {
    Slab* slab = ledger_.pool.Find(id);
    slab->mapped_by.erase(session.id);
    slab->asked.erase(session.id);
    FreeIfUnmapped(*slab);
  }
}

Books::Trimmed SlabLife::Trim(uint64_t target_bytes) {
  Books::Trimmed trimmed;
  std::vector<Slab*> victims = EmptySlabs();
  uint64_t bytes = 0;
  for (Slab* slab : victims) bytes += slab->size_bytes;
  for (Slab* slab : bytes < target_bytes ? EvictableSlabs() : std::vector<Slab*>()) {
    if (bytes >= target_bytes) break;
    bytes += slab->size_bytes;
    victims.push_back(slab);
  }
  for (Slab* slab : victims) {
    Doom(*slab, EvictReason::kTrim, trimmed.evicted);
    (slab->state == SlabState::kFreeing ? trimmed.freed_bytes : trimmed.retiring_bytes) +=
        slab->size_bytes;
  }
  return trimmed;
}

void SlabLife::RetireDoomed() {
  for (SlabId id : ledger_.pool.TakeEmptyDoomed()) {
    Slab* slab = ledger_.pool.Find(id);
    if (slab != nullptr && slab->state == SlabState::kDoomed && slab->empty()) Retire(*slab);
  }
}

void SlabLife::TrimOld() {
  while (const std::optional<TimePoint> next = NextTick()) {
    if (*next > ledger_.now) break;
    Retire(*ledger_.pool.Find(ledger_.pool.empty_slabs().begin()->second));
  }
}

std::optional<TimePoint> SlabLife::NextTick() const {
  const Pool::EmptySlabs& empty = ledger_.pool.empty_slabs();
  if (empty.empty() || ledger_.settings.trim_after >= kNever) return std::nullopt;
  return empty.begin()->first + ledger_.settings.trim_after;
}

}  // namespace nvcv_cached::server::core
