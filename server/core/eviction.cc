#include "server/core/eviction.h"

namespace nvcv_cached::server::core {

namespace {
// Looks per search at leases whose record was stale: 100,000 leases, all used since, must not make
// one acquire wait for 100,000 looks.
constexpr int kMaxLooks = 64;
}  // namespace

Lease* Eviction::OldestIdle(SessionBooks* session) {
  ++search_;
  Lease* oldest = nullptr;
  for (int looks = 0; looks < kMaxLooks; ++looks) {
    Lease* lease = session != nullptr ? LruIndex::Oldest(*session) : ledger_.index.Oldest();
    if (lease == nullptr) return nullptr;
    if (lease->search == search_ && lease->word.state() == lease_table::State::kHeld) {
      return nullptr;  // once around: all are in use
    }
    lease->search = search_;
    const LruKey before = lease->key;
    if (ledger_.Look(*lease) != Sight::kIdle) continue;
    if (lease->key == before) return lease;
    if (oldest == nullptr || lease->key < oldest->key) oldest = lease;
  }
  return oldest != nullptr ? oldest : ScanForIdle(session);
}

// The words alone are read as long as they say that a slot is in use: all of them, so it has to be
// quick.
Lease* Eviction::ScanForIdle(SessionBooks* session) {
  Lease* oldest = nullptr;
  const auto scan = [&](SessionBooks& books) {
    for (uint32_t i = 0; i < books.granted_slots(); ++i) {
      const lease_table::Word word = lease_table::Look(books.slot(i)).word;
      if (word.state() != lease_table::State::kIdle || word.revoked()) continue;
      Lease& lease = books.lease(i);
      if (lease.state != LeaseState::kCached) continue;
      if (oldest != nullptr && books.LastUsedMs(lease, ledger_.now_ms) >= oldest->key.used_ms) {
        continue;
      }
      if (ledger_.Look(lease) == Sight::kIdle) oldest = &lease;
    }
  };
  if (session != nullptr) {
    scan(*session);
  } else {
    for (auto& [id, books] : ledger_.sessions) scan(*books);
  }
  return oldest;
}

void Eviction::ReduceTo(uint64_t target_bytes, SessionBooks* session, EvictReason reason,
                        Evicted& evicted) {
  const uint64_t& bytes = session != nullptr ? session->cache_bytes : ledger_.cache_bytes;
  if (bytes <= target_bytes) return;
  if (ledger_.settings.policy == Policy::kClear)
    return Clear(session, std::nullopt, reason, evicted);
  while (bytes > target_bytes) {
    Lease* lease = OldestIdle(session);
    if (lease == nullptr) break;
    ledger_.Take(*lease, reason, evicted);
  }
  while (bytes > target_bytes) {
    Lease* lease = session != nullptr ? LruIndex::Oldest(*session) : ledger_.index.Oldest();
    ledger_.Take(*lease, reason, evicted);
  }
}

void Eviction::ApplyQuota(SessionBooks& session) {
  const std::optional<uint64_t> quota = ledger_.QuotaOf(session);
  Evicted evicted;
  while (quota && session.leased_bytes > *quota) {
    Lease* lease = OldestIdle(&session);
    if (lease == nullptr) break;
    ledger_.Take(*lease, EvictReason::kQuota, evicted);
  }
}

void Eviction::Clear(SessionBooks* session, std::optional<uint32_t> thread_tag, EvictReason reason,
                     Evicted& evicted) {
  const auto clear = [&](SessionBooks& books) {
    books.ForEachLease([&](Lease& lease) {
      if (lease.state != LeaseState::kCached) return;
      if (thread_tag && books.ThreadTag(lease) != *thread_tag) return;
      ledger_.Take(lease, reason, evicted);
    });
  };
  if (session != nullptr) return clear(*session);
  for (auto& [id, books] : ledger_.sessions) clear(*books);
}

}  // namespace nvcv_cached::server::core
