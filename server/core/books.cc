#include "server/core/books.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/books_impl.h"

namespace nvcv_cached::server {

using core::SessionBooks;

namespace {
absl::Status Over(SessionId id) {
  return absl::InvalidArgumentError(
      absl::StrCat("session ", id, " is over or has said goodbye; open a new one"));
}
}  // namespace

Books::Books(const Settings& settings, uint64_t epoch, const Clock& clock)
    : impl_(std::make_unique<Impl>(settings, epoch, clock)) {}
Books::~Books() = default;

SessionId Books::OpenSession(const SessionOptions& options, lease_table::Table* table) {
  Turn turn(*impl_);
  auto session = std::make_unique<SessionBooks>();
  session->id = impl_->next_session++;
  session->options = options;
  session->table = table;
  session->opened = session->last_message = impl_->ledger.now;
  session->opened_ms = impl_->ledger.now_ms;
  session->small_group = impl_->ledger.pool.GroupOf(options.domain, SizeClass::kSmall);
  ++impl_->ledger.totals.sessions;
  const SessionId id = session->id;
  impl_->ledger.sessions.emplace(id, std::move(session));
  return id;
}

void Books::SaidGoodbye(SessionId id) {
  Turn turn(*impl_);
  SessionBooks* session = impl_->ledger.Find(id);
  if (session == nullptr) return;
  session->leaving = true;
  impl_->Close(*session);
}

void Books::ProcessExited(SessionId id) {
  Turn turn(*impl_);
  SessionBooks* session = impl_->ledger.Find(id);
  if (session == nullptr) return;
  session->exited = true;
  if (!session->dying_since) session->dying_since = impl_->ledger.now;
  impl_->Close(*session);
}

void Books::SocketClosed(SessionId id) {
  Turn turn(*impl_);
  SessionBooks* session = impl_->ledger.Find(id);
  if (session == nullptr) return;
  session->socket_closed = true;
  if (!session->dying_since) session->dying_since = impl_->ledger.now;
  impl_->Close(*session);
}

void Books::BrokeProtocol(SessionId id) {
  Turn turn(*impl_);
  SessionBooks* session = impl_->ledger.Find(id);
  if (session == nullptr) return;
  session->broken = true;
  impl_->Close(*session);
}

absl::Status Books::Acquire(SessionId id, AcquireRequest request) {
  Turn turn(*impl_);
  SessionBooks* session = impl_->ledger.Find(id);
  if (session == nullptr || !session->serves()) return Over(id);
  session->last_message = impl_->ledger.now;
  return impl_->requests.Acquire(*session, std::move(request));
}

absl::Status Books::Returned(SessionId id, std::span<const uint32_t> slots) {
  Turn turn(*impl_);
  SessionBooks* session = impl_->ledger.Find(id);
  if (session == nullptr) return Over(id);
  session->last_message = impl_->ledger.now;
  if (slots.size() > lease_table::kSlots) {
    return absl::InvalidArgumentError(
        absl::StrCat("return of ", slots.size(), " slots; the table has ", lease_table::kSlots));
  }
  for (const uint32_t slot : slots) {
    if (slot >= session->granted_slots()) {
      return absl::InvalidArgumentError(
          absl::StrCat("return of slot ", slot, ", which session ", id, " was never granted"));
    }
    // A hint that comes late finds the slot vacant or granted again; the word decides.
    core::Lease& lease = session->lease(slot);
    if (lease.state != core::LeaseState::kVacant) impl_->ledger.Look(lease);
  }
  return absl::OkStatus();
}

absl::Status Books::Unmapped(SessionId id, SlabId slab) {
  Turn turn(*impl_);
  SessionBooks* session = impl_->ledger.Find(id);
  if (session == nullptr) return Over(id);
  session->last_message = impl_->ledger.now;
  return impl_->slabs.Unmapped(*session, slab);
}

Evicted Books::SetSessionLimit(SessionId id, uint64_t limit_bytes) {
  Turn turn(*impl_);
  Evicted evicted;
  SessionBooks* session = impl_->ledger.Find(id);
  if (session == nullptr) return evicted;
  session->last_message = impl_->ledger.now;
  session->options.limit_bytes = limit_bytes;
  impl_->eviction.ReduceTo(impl_->ledger.LimitOf(*session), session, EvictReason::kLimit, evicted);
  return evicted;
}

void Books::SlabReady(SlabId slab) {
  Turn turn(*impl_);
  if (const auto group = impl_->slabs.Ready(slab)) impl_->requests.Serve(*group);
}

void Books::SlabFailed(SlabId slab, const absl::Status& status) {
  Turn turn(*impl_);
  impl_->slabs.Failed(slab, status);
}

void Books::SlabFreed(SlabId slab) {
  Turn turn(*impl_);
  impl_->slabs.Freed(slab);
}

Evicted Books::SetLimit(uint64_t limit_bytes) {
  Turn turn(*impl_);
  Evicted evicted;
  impl_->ledger.settings.limit_bytes = limit_bytes;
  impl_->eviction.ReduceTo(limit_bytes, nullptr, EvictReason::kLimit, evicted);
  return evicted;
}

void Books::SetPolicy(Policy policy) { impl_->ledger.settings.policy = policy; }

absl::Status Books::SetQuota(std::optional<SessionId> id, std::optional<uint64_t> quota_bytes) {
  Turn turn(*impl_);
  SessionBooks* session = id ? impl_->ledger.Find(*id) : nullptr;
  if (id && session == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no session ", *id, "; nvcv-cachectl sessions lists them"));
  }
  if (session != nullptr) {
    session->has_own_quota = true;
    session->own_quota = quota_bytes;
    impl_->eviction.ApplyQuota(*session);
    return absl::OkStatus();
  }
  impl_->ledger.settings.quota_bytes = quota_bytes;
  for (auto& [each_id, each] : impl_->ledger.sessions) impl_->eviction.ApplyQuota(*each);
  return absl::OkStatus();
}

void Books::SetCapacity(uint64_t capacity_bytes) {
  Turn turn(*impl_);
  impl_->ledger.settings.capacity_bytes = capacity_bytes;
  ++impl_->ledger.freed;  // those who wait are looked at
}

void Books::SetForeign(uint64_t foreign_bytes) {
  Turn turn(*impl_);
  impl_->ledger.foreign_bytes = foreign_bytes;
  ++impl_->ledger.freed;  // those who wait are looked at
}

void Books::SetTrimAfter(Duration trim_after) {
  Turn turn(*impl_);
  impl_->ledger.settings.trim_after = trim_after;
}

Evicted Books::Clear(const ClearScope& scope) {
  Turn turn(*impl_);
  Evicted evicted;
  SessionBooks* session = impl_->ledger.Find(scope.session);
  if (scope.session != 0 && session == nullptr) return evicted;
  impl_->eviction.Clear(session, scope.session == 0 ? std::nullopt : scope.thread_tag,
                        EvictReason::kClear, evicted);
  return evicted;
}

Books::Trimmed Books::Trim(uint64_t target_bytes) {
  Turn turn(*impl_);
  return impl_->slabs.Trim(target_bytes);
}

void Books::Tick() {
  Turn turn(*impl_);
  impl_->slabs.TrimOld();
  if (impl_->next_poll && *impl_->next_poll <= impl_->ledger.now) {
    impl_->Poll();
  } else {
    impl_->requests.Serve();
  }
}

std::optional<TimePoint> Books::NextTick() const {
  std::optional<TimePoint> next = impl_->next_poll;
  for (const auto& other : {impl_->requests.NextDeadline(), impl_->slabs.NextTick()}) {
    if (other && (!next || *other < *next)) next = other;
  }
  return next;
}

Effects Books::TakeEffects() { return std::exchange(impl_->ledger.effects, {}); }

const Settings& Books::settings() const { return impl_->ledger.settings; }

void Books::CheckInvariants() const { impl_->CheckInvariants(); }

}  // namespace nvcv_cached::server
