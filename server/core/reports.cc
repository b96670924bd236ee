// The reports of the books: sums over what each slot says at this moment.
#include <algorithm>
#include <limits>
#include <utility>

#include "server/core/books.h"
#include "server/core/books_impl.h"
#include "server/core/refusals.h"

namespace nvcv_cached::server {

using core::Lease;
using core::LeaseState;
using core::SessionBooks;
using core::Sight;

namespace {

constexpr size_t kNameBytes = 128;
constexpr Duration kLookAgain{10};

uint64_t SaturatingAdd(uint64_t a, uint64_t b) {
  return a > std::numeric_limits<uint64_t>::max() - b ? std::numeric_limits<uint64_t>::max()
                                                      : a + b;
}

BlockState StateOf(const core::Ledger& ledger, const Lease& lease) {
  if (lease.state == LeaseState::kDraining) return BlockState::kDraining;
  if (lease.session->dead()) return BlockState::kQuarantined;
  return ledger.Peek(lease) == Sight::kIdle ? BlockState::kIdle : BlockState::kInUse;
}

std::string SpecOf(const Lease& lease) {
  const lease_table::Slot& slot = lease.session->slot(lease.slot);
  std::string text;
  for (const auto& word : slot.spec) {
    const uint64_t bits = word.load(std::memory_order_relaxed);
    text.append(reinterpret_cast<const char*>(&bits), sizeof bits);
  }
  text.resize(std::min(text.size(), text.find('\0')));
  return core::Printable(text, lease_table::kSpecBytes);
}

double Seconds(TimePoint::duration duration) {
  return std::max(0.0, std::chrono::duration<double>(duration).count());
}

}  // namespace

Totals Books::GetTotals() {
  Turn turn(*impl_);
  core::Hits hits = impl_->hits_of_ended;
  for (auto& [id, session] : impl_->ledger.sessions) {
    session->SumCounters();
    hits.exact = SaturatingAdd(hits.exact, session->hits.exact);
    hits.size_class = SaturatingAdd(hits.size_class, session->hits.size_class);
    hits.depot = SaturatingAdd(hits.depot, session->hits.depot);
  }
  Totals totals = impl_->ledger.totals;
  totals.hits_exact = hits.exact;
  totals.hits_size_class = hits.size_class;
  totals.hits_depot = hits.depot;
  return totals;
}

PoolReport Books::GetPool() {
  Turn turn(*impl_);
  impl_->LookAtEverything();
  const core::Ledger& ledger = impl_->ledger;
  PoolReport report;
  for (const auto& [id, session] : ledger.sessions) {
    session->ForEachLease([&](const Lease& lease) {
      const uint64_t bytes = lease.size_bytes;
      report.slack += lease.extent->size - bytes;
      switch (StateOf(ledger, lease)) {
        case BlockState::kIdle:
          report.idle += bytes;
          ++report.leases_idle;
          break;
        case BlockState::kDraining:
          report.draining += bytes;
          ++report.leases_draining;
          break;
        case BlockState::kQuarantined:
          report.quarantined += bytes;
          ++report.leases_quarantined;
          break;
        case BlockState::kInUse:
        case BlockState::kFree:
          report.in_use += bytes;
          ++report.leases_in_use;
          break;
      }
    });
  }
  report.pool_bytes = ledger.pool.ready_bytes();
  report.free = report.pool_bytes - ledger.pool.used_bytes();
  report.capacity_bytes = ledger.settings.capacity_bytes;
  report.largest_free_bytes = ledger.pool.largest_free_bytes();
  report.cache_bytes = ledger.cache_bytes;
  report.cache_items = ledger.cache_items;
  report.limit_bytes = ledger.settings.limit_bytes;
  report.sessions = static_cast<uint32_t>(ledger.sessions.size());
  report.slabs = static_cast<uint32_t>(ledger.pool.slabs().size() -
                                       ledger.pool.CountIn(core::SlabState::kAllocating));
  return report;
}

std::vector<SessionReport> Books::GetSessions() {
  Turn turn(*impl_);
  impl_->LookAtEverything();
  const core::Ledger& ledger = impl_->ledger;
  std::vector<SessionReport> reports;
  for (auto& [id, session] : ledger.sessions) {
    session->SumCounters();
    SessionReport report;
    report.id = id;
    report.pid = session->options.pid;
    report.uid = session->options.uid;
    report.name = core::Printable(session->options.name, kNameBytes);
    report.domain = session->options.domain;
    report.state = session->dead()    ? SessionState::kDead
                   : session->leaving ? SessionState::kLeaving
                                      : SessionState::kOpen;
    report.age_seconds = Seconds(ledger.now - session->opened);
    uint64_t used_ms = session->opened_ms;
    session->ForEachLease([&](const Lease& lease) {
      used_ms = std::max(used_ms, session->LastUsedMs(lease, ledger.now_ms));
      const BlockState state = StateOf(ledger, lease);
      if (state == BlockState::kDraining) return;
      ++report.leases;
      (state == BlockState::kIdle          ? report.idle
       : state == BlockState::kQuarantined ? report.quarantined
                                           : report.in_use) += lease.size_bytes;
    });
    report.last_seen_seconds = std::min(Seconds(ledger.now - session->last_message),
                                        static_cast<double>(ledger.now_ms - used_ms) / 1e3);
    report.cache_bytes = session->cache_bytes;
    report.hits = session->hits.sum();
    report.misses = session->misses.sum();
    report.quota_bytes = ledger.QuotaOf(*session);
    report.limit_bytes = session->options.limit_bytes;
    reports.push_back(std::move(report));
  }
  return reports;
}

std::vector<SlabReport> Books::GetSlabs() {
  Turn turn(*impl_);
  impl_->LookAtEverything();
  const core::Ledger& ledger = impl_->ledger;
  std::vector<SlabReport> reports;
  for (const auto& [id, slab] : ledger.pool.slabs()) {
    if (slab->state == core::SlabState::kAllocating) continue;
    SlabReport report{id,
                      slab->size_bytes,
                      ledger.pool.domain(slab->group),
                      ledger.pool.size_class(slab->group),
                      slab->state != core::SlabState::kServing,
                      static_cast<uint32_t>(slab->mapped_by.size()),
                      {}};
    for (const core::Extent* e = slab->first; e != nullptr; e = e->next) {
      if (e->lease == nullptr) {
        report.extents.push_back({e->offset, e->size, BlockState::kFree, 0});
      } else {
        report.extents.push_back(
            {e->offset, e->size, StateOf(ledger, *e->lease), e->lease->session->id});
      }
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

std::vector<SessionId> Books::Ids() const {
  std::vector<SessionId> ids;
  for (const auto& [id, session] : impl_->ledger.sessions) ids.push_back(id);
  return ids;
}

std::vector<LeaseReport> Books::GetLeases(SessionId id) {
  Turn turn(*impl_);
  core::Ledger& ledger = impl_->ledger;
  std::vector<LeaseReport> reports;
  SessionBooks* session = ledger.Find(id);
  if (session == nullptr) return reports;
  ledger.LookAtAll(*session);
  session->ForEachLease([&](const Lease& lease) {
    LeaseReport report;
    report.session = id;
    report.slot = lease.slot;
    report.session_name = core::Printable(session->options.name, kNameBytes);
    report.state = StateOf(ledger, lease);
    report.size_bytes = lease.size_bytes;
    report.block = {lease.extent->slab->id, lease.extent->offset, lease.extent->size};
    report.spec = SpecOf(lease);
    if (report.state == BlockState::kIdle) {
      report.idle_seconds =
          static_cast<double>(ledger.now_ms - session->LastUsedMs(lease, ledger.now_ms)) / 1e3;
    }
    report.cached = lease.state == LeaseState::kCached;
    reports.push_back(std::move(report));
  });
  return reports;
}

ScopeReport Books::GetScope(const ClearScope& scope) {
  Turn turn(*impl_);
  core::Ledger& ledger = impl_->ledger;
  ScopeReport report;
  report.daemon_limit_bytes = ledger.settings.limit_bytes;
  core::Misses misses;
  core::Hits hits;
  SessionBooks* session = ledger.Find(scope.session);
  if (scope.session == 0) {
    // Any client may ask, as often as it likes.
    if (!impl_->looked || ledger.now - *impl_->looked >= kLookAgain) impl_->LookAtEverything();
    const Totals totals = GetTotals();
    report.items = ledger.cache_items;
    report.bytes = ledger.cache_bytes;
    misses = {totals.misses_pool, totals.misses_reclaim, totals.misses_grow, totals.misses_refused};
    hits = {totals.hits_exact, totals.hits_size_class, totals.hits_depot};
  } else if (session != nullptr) {
    ledger.LookAtAll(*session);
    session->SumCounters();
    report.session_limit_bytes = session->options.limit_bytes;
    if (!scope.thread_tag) {
      report.items = session->cache_items;
      report.bytes = session->cache_bytes;
      misses = session->misses;
      hits = session->hits;
    } else {
      session->ForEachLease([&](const Lease& lease) {
        if (lease.state != LeaseState::kCached || session->ThreadTag(lease) != *scope.thread_tag) {
          return;
        }
        ++report.items;
        report.bytes += lease.size_bytes;
      });
      const size_t tag = *scope.thread_tag;
      if (tag < session->misses_by_tag.size()) misses = session->misses_by_tag[tag];
      if (tag < session->hits_by_tag.size()) hits = session->hits_by_tag[tag];
    }
  }
  report.misses = misses.sum();
  report.misses_reclaim = misses.reclaim;
  report.misses_grow = misses.grow;
  report.refused = misses.refused;
  report.hits_exact = hits.exact;
  report.hits_size_class = hits.size_class;
  report.hits_depot = hits.depot;
  return report;
}

}  // namespace nvcv_cached::server
