#include "server/core/reclaim.h"

#include <algorithm>

namespace nvcv_cached::server::core {

namespace {
constexpr int kMaxLooks = 128;      // leases looked at per queue before the pool may grow
constexpr int kMaxNeighbours = 64;  // leases in one run
}  // namespace

bool Reclaim::MayTake(const Lease& lease, const May& may) const {
  if (lease.state != LeaseState::kCached) return false;
  const Sight sight = ledger_.Peek(lease);
  if (sight == Sight::kHeld || !ledger_.FenceDone(lease)) return false;
  if (sight == Sight::kGone) return true;
  const SessionBooks& session = *lease.session;
  const bool own = lease.session == may.asker;
  const lease_table::Word word = lease_table::Look(session.slot(lease.slot)).word;
  const bool fresh = !lease.reused && word.version() <= lease.first_release;
  if (fresh && (!own || may.own_fresh)) return true;
  const uint64_t idle_ms = ledger_.now_ms - session.LastUsedMs(lease, ledger_.now_ms);
  if (idle_ms < static_cast<uint64_t>(ledger_.settings.keep_time.count())) return false;
  return own ? may.own_kept : may.others_kept;
}

bool Reclaim::BeforeGrowth(const SessionBooks& asker, const Wanted& wanted) {
  May may{.asker = &asker};
  if (TakeOldest(wanted, Kind::kFresh, &asker, nullptr, may)) return true;
  may.own_fresh = true;
  if (TakeOldest(wanted, Kind::kFresh, nullptr, &asker, may)) return true;
  may.others_kept = true;
  if (TakeOldest(wanted, Kind::kReused, &asker, nullptr, may)) return true;
  may.own_kept = true;
  return TakeOldest(wanted, Kind::kReused, nullptr, &asker, may);
}

bool Reclaim::TakeOldest(const Wanted& wanted, Kind kind, const SessionBooks* except,
                         const SessionBooks* only, const May& may) {
  const SizeClass size_class = ledger_.pool.size_class(wanted.group);
  std::vector<Lease*> aside;  // out of the index while this search goes on
  bool found = false;
  ++search_;
  for (int looks = 0; looks < kMaxLooks && !found; ++looks) {
    Lease* lease = only != nullptr ? LruIndex::Oldest(*only, size_class, kind)
                                   : ledger_.index.Oldest(wanted.group, kind, except);
    if (lease == nullptr || lease->search == search_) break;
    const LruKey before = lease->key;
    const Sight sight = ledger_.Look(*lease);
    if (sight == Sight::kHeld) {
      lease->search = search_;  // went behind the others; met again, the rest is in use
      continue;
    }
    if (sight == Sight::kGone) {
      found = HasFit(wanted);
      continue;
    }
    if (lease->key != before || lease->reused != (kind == Kind::kReused)) continue;
    if (kind == Kind::kReused && ledger_.now_ms - lease->key.used_ms <
                                     static_cast<uint64_t>(ledger_.settings.keep_time.count())) {
      break;  // and so were all behind it
    }
    if (std::vector<Lease*> run = RunAround(*lease, wanted, may); !run.empty()) {
      TakeRun(run);
      found = HasFit(wanted);
      continue;
    }
    ledger_.index.Remove(lease);
    aside.push_back(lease);
  }
  for (Lease* lease : aside) {
    if (lease->state == LeaseState::kCached) ledger_.index.Add(lease);
  }
  return found;
}

std::vector<Lease*> Reclaim::RunAround(Lease& seed, const Wanted& wanted, const May& may) const {
  std::vector<Lease*> run;
  if (!MayTake(seed, may)) return run;
  run.push_back(&seed);
  const Extent* low = seed.extent;
  const Extent* high = seed.extent;
  for (;;) {
    while (low->previous != nullptr && low->previous->lease == nullptr) low = low->previous;
    while (high->next != nullptr && high->next->lease == nullptr) high = high->next;
    if (Serves(*seed.extent->slab, wanted) && Fits(low->offset, high->end(), wanted)) {
      return run;
    }
    const Extent* before = low->previous;
    const Extent* after = high->next;
    if (before != nullptr && !MayTake(*before->lease, may)) before = nullptr;
    if (after != nullptr && !MayTake(*after->lease, may)) after = nullptr;
    if ((before == nullptr && after == nullptr) || run.size() == kMaxNeighbours) return {};
    const bool go_down =
        after == nullptr || (before != nullptr && before->lease->key < after->lease->key);
    const Extent*& edge = go_down ? low : high;
    edge = go_down ? before : after;
    run.push_back(edge->lease);
  }
}

void Reclaim::TakeRun(const std::vector<Lease*>& run) {
  Evicted evicted;
  for (Lease* lease : run) {
    if (lease->state == LeaseState::kCached) ledger_.Take(*lease, EvictReason::kPressure, evicted);
  }
}

std::vector<Lease*> Reclaim::CheapestRun(const Wanted& wanted, bool undone_too) const {
  struct Step {
    Extent* extent;
    uint64_t cost;
  };
  uint64_t best_cost = UINT64_MAX;
  std::vector<Lease*> best;
  std::vector<Step> window;
  for (const auto& [id, slab] : ledger_.pool.slabs()) {
    if (slab->group != wanted.group || !Serves(*slab, wanted)) continue;
    if (slab->size_bytes < wanted.bytes) continue;
    window.clear();
    size_t begin = 0;
    uint64_t cost = 0;
    for (Extent* e = slab->first; e != nullptr; e = e->next) {
      bool may = e->lease == nullptr;
      uint64_t bytes = 0;
      if (!may && e->lease->state == LeaseState::kCached) {
        may =
            ledger_.Peek(*e->lease) != Sight::kHeld && (undone_too || ledger_.FenceDone(*e->lease));
        bytes = e->size;
      } else if (!may && undone_too) {
        may = e->lease->state == LeaseState::kDraining;  // comes anyway
      }
      if (!may) {
        window.clear();
        begin = 0;
        cost = 0;
        continue;
      }
      window.push_back({e, bytes});
      cost += bytes;
      while (begin + 1 < window.size() &&
             Fits(window[begin + 1].extent->offset, e->end(), wanted)) {
        cost -= window[begin++].cost;
      }
      if (cost < best_cost && Fits(window[begin].extent->offset, e->end(), wanted)) {
        best_cost = cost;
        best.clear();
        for (size_t i = begin; i < window.size(); ++i) {
          if (window[i].cost > 0) best.push_back(window[i].extent->lease);
        }
      }
    }
  }
  return best;
}

bool Reclaim::AnyIdle(const Wanted& wanted) {
  TakeRun(CheapestRun(wanted, false));
  return HasFit(wanted);
}

void Reclaim::DrainAny(const Wanted& wanted) { TakeRun(CheapestRun(wanted, true)); }

}  // namespace nvcv_cached::server::core
