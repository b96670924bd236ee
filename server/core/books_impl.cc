#include "server/core/books_impl.h"

#include <algorithm>

#include "server/core/check.h"

namespace nvcv_cached::server {

using core::LeaseState;
using core::SessionBooks;

namespace {
// How often slots are looked at while something drains: at first after 1 ms, then less and less
// often.
constexpr Duration kFirstPoll{1};
constexpr Duration kWaitingPoll{4};    // somebody waits
constexpr Duration kLazyPoll{256};     // nobody does
constexpr uint32_t kScanSlots = 4096;  // in one poll
}  // namespace

void Books::Impl::Close(SessionBooks& session) {
  going.insert(session.id);
  requests.Drop(session.id);
  ledger.TakeAll(session);
}

bool Books::Impl::EndIfOver(SessionBooks& session) {
  // After a goodbye nothing may be left of it, mappings included (M3): a process that goes has none
  // when its socket is at end of file, one that lives on has unmapped them.
  const bool gone =
      session.leaving && session.leases == 0 && (session.socket_closed || session.mapped.empty());
  if (!session.proven_gone() && !gone) return false;
  session.SumCounters();
  hits_of_ended.exact += session.hits.exact;
  hits_of_ended.size_class += session.hits.size_class;
  hits_of_ended.depot += session.hits.depot;
  ledger.FreeAll(session);
  slabs.SessionEnds(session);
  const EndCause cause = session.broken    ? EndCause::kProtocol
                         : session.leaving ? EndCause::kClose
                                           : EndCause::kExit;
  ++ledger.totals.sessions_ended[static_cast<size_t>(cause)];
  if (cause == EndCause::kExit) {
    ledger.totals.death_to_free.Add(ledger.clock.Now() - *session.dying_since);
  }
  ledger.effects.emplace_back(SessionEnded{session.id, cause});
  ledger.sessions.erase(session.id);
  return true;
}

void Books::Impl::Finish() {
  for (;;) {
    while (!ledger.condemned.empty()) {
      const SessionId id = ledger.condemned.back();
      ledger.condemned.pop_back();
      if (SessionBooks* session = ledger.Find(id)) Close(*session);
    }
    std::erase_if(going, [&](SessionId id) { return EndIfOver(*ledger.Find(id)); });
    slabs.RetireDoomed();
    if (served_ == ledger.freed) break;
    served_ = ledger.freed;
    requests.Serve();
  }
  if (!NeedsPoll()) {
    next_poll.reset();
  } else if (!next_poll || (requests.waiting() && *next_poll > ledger.now + kWaitingPoll)) {
    poll_interval = kFirstPoll;
    next_poll = ledger.now + poll_interval;
  }
#ifndef NDEBUG
  ++calls_;
  if (ledger.cache_items < 1000 || calls_ % 256 == 0) CheckInvariants();
#endif
}

bool Books::Impl::NeedsPoll() const {
  if (requests.waiting() || ledger.draining.size() > ledger.draining_lied) return true;
  return std::any_of(going.begin(), going.end(), [&](SessionId id) {
    const SessionBooks& session = *ledger.sessions.at(id);
    return session.leaving && !session.dead() && session.leases > 0;
  });
}

void Books::Impl::Poll() {
  ledger.LookAtDraining();
  ScanSome(
      going_, [](const SessionBooks& session) { return !session.serves(); },
      [&](core::Lease& lease) { ledger.Look(lease); });
  if (requests.waiting()) {
    // A client may be stopped between its CAS and its message.
    ScanSome(
        serving_, [](const SessionBooks& session) { return session.serves(); },
        [&](core::Lease& lease) {
          if (lease.leased() && ledger.Peek(lease) == core::Sight::kGone) ledger.Look(lease);
        });
    requests.Serve();
  }
  poll_interval = std::min(poll_interval * 2, requests.waiting() ? kWaitingPoll : kLazyPoll);
  next_poll = ledger.now + poll_interval;
}

// At most once around, at most kScanSlots slots.
template <class Of, class F>
void Books::Impl::ScanSome(Place& place, Of&& of, F&& look) {
  uint32_t left = kScanSlots;
  for (size_t i = 0; i <= ledger.sessions.size() && left > 0; ++i) {
    auto it = ledger.sessions.lower_bound(place.session);
    if (it == ledger.sessions.end()) {
      place = {};
      it = ledger.sessions.begin();
      if (it == ledger.sessions.end()) return;
    }
    SessionBooks& session = *it->second;
    if (session.id != place.session) place = {session.id, 0};
    if (of(session)) {
      for (; place.slot < session.granted_slots() && left > 0; ++place.slot, --left) {
        core::Lease& lease = session.lease(place.slot);
        if (lease.state != LeaseState::kVacant) look(lease);
      }
      if (place.slot < session.granted_slots()) return;
    }
    place = {session.id + 1, 0};
  }
}

void Books::Impl::LookAtEverything() {
  looked = ledger.now;
  for (auto& [id, session] : ledger.sessions) ledger.LookAtAll(*session);
}

void Books::Impl::CheckInvariants() const {
  ledger.pool.CheckInvariants();
  uint64_t cache_bytes = 0, cache_items = 0, block_bytes = 0, draining = 0;
  for (const auto& entry : ledger.sessions) {
    const SessionId id = entry.first;
    const SessionBooks* const session = entry.second.get();
    uint64_t leased = 0, cached = 0, items = 0, drains = 0;
    uint32_t leases = 0;
    session->ForEachLease([&](const core::Lease& lease) {
      ++leases;
      block_bytes += lease.extent->size;
      NVCV_CACHED_CHECK(lease.extent->lease == &lease && lease.size_bytes <= lease.extent->size);
      const core::Slab& slab = *lease.extent->slab;
      NVCV_CACHED_CHECK(ledger.pool.domain(slab.group) == session->options.domain);
      NVCV_CACHED_CHECK(session->mapped.contains(slab.id) && slab.mapped_by.contains(id));
      NVCV_CACHED_CHECK(!session->asked.contains(slab.id));
      if (lease.state == LeaseState::kCached) {
        cached += lease.size_bytes;
        ++items;
        NVCV_CACHED_CHECK(lease.heap_at != core::kNowhere);
      } else {
        NVCV_CACHED_CHECK(lease.heap_at == core::kNowhere);
      }
      if (lease.leased()) leased += lease.size_bytes;
      if (lease.state == LeaseState::kDraining) {
        drains += lease.size_bytes;
        ++draining;
        NVCV_CACHED_CHECK(ledger.draining[lease.draining_at] == &lease);
      }
    });
    NVCV_CACHED_CHECK(leases == session->leases && leased == session->leased_bytes);
    NVCV_CACHED_CHECK(cached == session->cache_bytes && items == session->cache_items);
    NVCV_CACHED_CHECK(drains == session->draining_bytes);
    NVCV_CACHED_CHECK(cached <= ledger.LimitOf(*session));
    NVCV_CACHED_CHECK(session->serves() || items == 0);
    cache_bytes += cached;
    cache_items += items;
  }
  NVCV_CACHED_CHECK(cache_bytes == ledger.cache_bytes && cache_items == ledger.cache_items);
  NVCV_CACHED_CHECK(cache_bytes <= ledger.settings.limit_bytes);
  NVCV_CACHED_CHECK(block_bytes == ledger.pool.used_bytes());
  NVCV_CACHED_CHECK(draining == ledger.draining.size());
  NVCV_CACHED_CHECK(ledger.draining_lied <= draining);
}

}  // namespace nvcv_cached::server
