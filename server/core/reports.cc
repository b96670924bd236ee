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

// Every lease is looked at once: a client may change its word at any time, and sums are to agree.
void See(Books::Impl& impl) {
  impl.LookAtEverything();
  for (auto& [id, session] : impl.ledger.sessions) {
    session->ForEachLease([&](Lease& lease) { lease.seen = StateOf(impl.ledger, lease); });
  }
}

double Seconds(TimePoint::duration duration) {
  return std::max(0.0, std::chrono::duration<double>(duration).count());
}

// The three below are of what See saw.
PoolReport PoolSeen(const core::Ledger& ledger) {
  PoolReport report;
  for (const auto& [id, session] : ledger.sessions) {
    session->ForEachLease([&](const Lease& lease) {
      const uint64_t bytes = lease.size_bytes;
      report.slack += lease.extent->size - bytes;
      switch (lease.seen) {
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
  report.foreign_bytes = ledger.foreign_bytes;
  report.largest_free_bytes = ledger.pool.largest_free_bytes();
  report.cache_bytes = ledger.cache_bytes;
  report.cache_items = ledger.cache_items;
  report.limit_bytes = ledger.settings.limit_bytes;
  report.sessions = static_cast<uint32_t>(ledger.sessions.size());
  report.slabs = static_cast<uint32_t>(ledger.pool.slabs().size() -
                                       ledger.pool.CountIn(core::SlabState::kAllocating));
  return report;
}

std::vector<SessionReport> SessionsSeen(core::Ledger& ledger) {
  std::vector<SessionReport> reports;
  for (auto& entry : ledger.sessions) {
    core::SessionBooks* const session = entry.second.get();
    session->SumCounters();
    SessionReport report;
    report.id = entry.first;
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
      const BlockState state = lease.seen;
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

std::vector<SlabReport> SlabsSeen(const core::Ledger& ledger) {
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
        report.extents.push_back({e->offset, e->size, e->lease->seen, e->lease->session->id});
      }
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

LeaseReport LeaseSeen(const core::Ledger& ledger, const Lease& lease) {
  const SessionBooks& session = *lease.session;
  LeaseReport report;
  report.session = session.id;
  report.slot = lease.slot;
  report.session_name = core::Printable(session.options.name, kNameBytes);
  report.state = lease.seen;
  report.size_bytes = lease.size_bytes;
  report.block = {lease.extent->slab->id, lease.extent->offset, lease.extent->size};
  report.spec = SpecOf(lease);
  if (report.state == BlockState::kIdle) {
    report.idle_seconds =
        static_cast<double>(ledger.now_ms - session.LastUsedMs(lease, ledger.now_ms)) / 1e3;
  }
  report.cached = lease.state == LeaseState::kCached;
  return report;
}

// In the caller's turn: the end of one may change the books.
Totals TotalsOf(Books::Impl& impl) {
  core::Hits hits = impl.hits_of_ended;
  for (auto& [id, session] : impl.ledger.sessions) {
    session->SumCounters();
    hits.exact = SaturatingAdd(hits.exact, session->hits.exact);
    hits.size_class = SaturatingAdd(hits.size_class, session->hits.size_class);
    hits.depot = SaturatingAdd(hits.depot, session->hits.depot);
  }
  Totals totals = impl.ledger.totals;
  totals.hits_exact = hits.exact;
  totals.hits_size_class = hits.size_class;
  totals.hits_depot = hits.depot;
  return totals;
}

}  // namespace

Totals Books::GetTotals() {
  Turn turn(*impl_);
  return TotalsOf(*impl_);
}

PoolReport Books::GetPool() {
  Turn turn(*impl_);
  See(*impl_);
  return PoolSeen(impl_->ledger);
}

std::vector<SessionReport> Books::GetSessions() {
  Turn turn(*impl_);
  See(*impl_);
  return SessionsSeen(impl_->ledger);
}

std::vector<SlabReport> Books::GetSlabs() {
  Turn turn(*impl_);
  See(*impl_);
  return SlabsSeen(impl_->ledger);
}

MapReport Books::GetMap() {
  Turn turn(*impl_);
  See(*impl_);
  const core::Ledger& ledger = impl_->ledger;
  MapReport map{.totals = TotalsOf(*impl_),
                .pool = PoolSeen(ledger),
                .sessions = SessionsSeen(impl_->ledger),
                .slabs = SlabsSeen(ledger),
                .leases = {}};
  for (const auto& [id, session] : ledger.sessions) {
    session->ForEachLease(
        [&](const Lease& lease) { map.leases.push_back(LeaseSeen(ledger, lease)); });
  }
  return map;
}

std::vector<MissReport> Books::GetMisses(SessionId id) {
  Turn turn(*impl_);
  if (id == 0) return impl_->ledger.misses_by_spec.Rows();
  const SessionBooks* session = impl_->ledger.Find(id);
  return session != nullptr ? session->misses_by_spec.Rows() : std::vector<MissReport>();
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
  session->ForEachLease([&](Lease& lease) {
    lease.seen = StateOf(ledger, lease);
    reports.push_back(LeaseSeen(ledger, lease));
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
    const Totals totals = TotalsOf(*impl_);
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
