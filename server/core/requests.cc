#include "server/core/requests.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace nvcv_cached::server::core {

namespace {

constexpr uint32_t kMaxPending =
    lease_table::kCounterLines;                    // one for each thread that can be counted
constexpr uint64_t kMaxBytes = uint64_t{1} << 62;  // so that sums of sizes do not wrap
constexpr size_t kMaxSpec = 128;
constexpr Duration kMaxTimeout = std::chrono::hours(24);
// A request that may not wait still gets the slab that is being made for it.
constexpr Duration kGrowthTimeout = std::chrono::seconds(30);

}  // namespace

absl::Status Requests::Acquire(SessionBooks& session, AcquireRequest request) {
  const auto bad = [&](const auto&... what) {
    return absl::InvalidArgumentError(
        absl::StrCat("acquire ", request.id, " of session ", session.id, ": ", what...));
  };
  if (request.size_bytes == 0) return bad("size_bytes is 0; must be larger");
  if (request.alignment == 0 || (request.alignment & (request.alignment - 1)) != 0) {
    return bad("alignment ", request.alignment, " is not a power of two");
  }
  if (request.alignment > kMaxAlignment) {
    return bad("alignment ", request.alignment, " is above ", kMaxAlignment);
  }
  if (request.thread_tag >= lease_table::kCounterLines) {
    return bad("thread_tag ", request.thread_tag, " is not below ", lease_table::kCounterLines);
  }
  if (request.spec.size() > kMaxSpec) request.spec.resize(kMaxSpec);
  request.ahead = std::min(request.ahead, kMaxAhead);
  request.timeout = std::clamp(request.timeout, Duration(0), kMaxTimeout);
  if (request.size_bytes > kMaxBytes ||
      ledger_.BlockBytes(request.size_bytes) > ledger_.settings.capacity_bytes) {
    Refuse(session, request, AboveCapacity(ledger_, session, request));
    return absl::OkStatus();
  }
  if (session.pending >= kMaxPending) {
    Refuse(session, request, TooManyWaiting(session, request));
    return absl::OkStatus();
  }
  const TimePoint deadline =
      ledger_.now + (request.timeout > Duration(0) ? request.timeout : kGrowthTimeout);
  Waiting waiting{session.id, std::move(request), deadline, ++arrivals_};
  const auto keep_ms = static_cast<uint64_t>(ledger_.settings.keep_time.count());
  waiting.lost = session.TakeLost(waiting.request.size_bytes,
                                  ledger_.now_ms > keep_ms ? ledger_.now_ms - keep_ms : 0);
  const SizeClass size_class = ledger_.BlockBytes(waiting.request.size_bytes) <= kSmallBlockBytes
                                   ? SizeClass::kSmall
                                   : SizeClass::kLarge;
  const GroupId group = session.group(size_class);
  if (lines_.size() <= group) lines_.resize(group + 1);
  if (lines_[group].empty() && Try(waiting) == Outcome::kAnswered) return absl::OkStatus();
  if (!lines_[group].empty() && waiting.request.timeout == Duration(0) &&
      ledger_.pool.InFlightBytes(group) == 0) {
    Refuse(session, waiting.request,
           OutOfMemory(ledger_, session, waiting.request, slabs_.device_error()));
    return absl::OkStatus();
  }
  lines_[group].push_back(std::move(waiting));
  deadlines_.insert(deadline);
  ++session.pending;
  return absl::OkStatus();
}

bool Requests::FitQuota(SessionBooks& session, const AcquireRequest& request) {
  const std::optional<uint64_t> quota = ledger_.QuotaOf(session);
  const auto fits = [&] {
    return !quota ||
           (request.size_bytes <= *quota && session.leased_bytes <= *quota - request.size_bytes);
  };
  if (fits()) return true;
  if (request.size_bytes > *quota) return false;
  Evicted evicted;
  while (!fits()) {
    Lease* lease = eviction_.OldestIdle(&session);
    if (lease == nullptr) break;
    ledger_.Take(*lease, EvictReason::kQuota, evicted);
  }
  if (!fits()) ledger_.LookAtAll(session);
  return fits();
}

bool Requests::FindSlot(SessionBooks& session) {
  if (session.HasVacant()) return true;
  ledger_.LookAtAll(session);
  Evicted evicted;
  while (!session.HasVacant()) {
    Lease* lease = eviction_.OldestIdle(&session);
    if (lease == nullptr) return false;
    ledger_.Take(*lease, EvictReason::kQuota, evicted);
  }
  return true;
}

bool Requests::FindBlock(SessionBooks& session, Waiting& waiting, Wanted& wanted) {
  wanted.fit = Fit::kClose;
  if (reclaim_.HasFit(wanted)) return true;
  wanted.fit = Fit::kAny;  // what is taken back serves, whatever slab it lies in
  if (reclaim_.BeforeGrowth(session, wanted)) return waiting.reclaimed = true;
  if (slabs_.Growing(wanted)) return false;
  if (slabs_.Grow(wanted)) {
    waiting.grew = true;
    return false;
  }
  if (reclaim_.HasFit(wanted) || slabs_.Revive(wanted)) return true;
  if (reclaim_.AnyIdle(wanted)) return waiting.reclaimed = true;
  if (!slabs_.MakeCapacity(wanted)) reclaim_.DrainAny(wanted);
  return false;
}

bool Requests::WorthWaiting(const Waiting& waiting, const Wanted& wanted) const {
  if (slabs_.Growing(wanted) || slabs_.Freeing()) return true;
  if (waiting.request.timeout == Duration(0)) return false;
  if (slabs_.Returning() || !ledger_.draining.empty()) return true;
  // Memory of a process whose death is half proven, or that has said goodbye.
  return std::any_of(ledger_.sessions.begin(), ledger_.sessions.end(), [](const auto& entry) {
    return !entry.second->serves() && entry.second->leases > 0;
  });
}

Requests::Outcome Requests::Try(Waiting& waiting) {
  SessionBooks* session = ledger_.Find(waiting.session);
  if (session == nullptr || !session->serves()) return Outcome::kAnswered;
  const AcquireRequest& request = waiting.request;
  if (!FitQuota(*session, request)) {
    return Refuse(*session, request, OverQuota(ledger_, *session, request));
  }
  if (!FindSlot(*session)) return Refuse(*session, request, TableFull(*session, request));
  const uint64_t bytes = ledger_.BlockBytes(request.size_bytes);
  Wanted wanted{session->group(bytes <= kSmallBlockBytes ? SizeClass::kSmall : SizeClass::kLarge),
                bytes, std::max(request.alignment, kBlockBytes), Fit::kClose, session->maps()};
  const bool cached = request.size_bytes <= ledger_.LimitOf(*session);
  if (cached) {
    Evicted evicted;
    if (session->options.limit_bytes) {
      eviction_.ReduceTo(ledger_.LimitOf(*session) - request.size_bytes, session,
                         EvictReason::kLimit, evicted);
    }
    eviction_.ReduceTo(ledger_.settings.limit_bytes - request.size_bytes, nullptr,
                       EvictReason::kLimit, evicted);
  }
  if (!FindBlock(*session, waiting, wanted)) {
    if (WorthWaiting(waiting, wanted)) return Outcome::kWaits;
    return Refuse(*session, request,
                  OutOfMemory(ledger_, *session, request, slabs_.device_error()));
  }
  SendGrant grant{.session = session->id, .request = request.id, .leases = {}, .new_slabs = {}};
  const GrantAs as = !cached ? GrantAs::kUncached : waiting.lost ? GrantAs::kKept : GrantAs::kHeld;
  switch (ledger_.Grant(*session, request, as, wanted.fit, grant)) {
    case Ledger::GrantResult::kGranted:
      break;
    case Ledger::GrantResult::kPoisoned:
      return Outcome::kAnswered;  // the session is over: nobody waits for an answer
    case Ledger::GrantResult::kNoBlock:
    case Ledger::GrantResult::kTableFull:
      return Refuse(*session, request,
                    OutOfMemory(ledger_, *session, request, slabs_.device_error()));
  }
  if (waiting.grew) {
    grant.served = Served::kGrowth;
    Count(*session, request, &Misses::grow, ledger_.totals.misses_grow);
  } else if (waiting.reclaimed) {
    grant.served = Served::kReclaim;
    Count(*session, request, &Misses::reclaim, ledger_.totals.misses_reclaim);
  } else {
    Count(*session, request, &Misses::pool, ledger_.totals.misses_pool);
  }
  if (cached && bytes <= kSmallBlockBytes) GrantAhead(*session, request, grant);
  ledger_.effects.emplace_back(std::move(grant));
  ledger_.totals.acquire_duration.Add(ledger_.clock.Now() - request.received);
  return Outcome::kAnswered;
}

// Only what is free already, and only what fits under every bound without anybody giving way.
void Requests::GrantAhead(SessionBooks& session, const AcquireRequest& request, SendGrant& grant) {
  const uint64_t bytes = request.size_bytes;
  const auto fits = [bytes](uint64_t used, uint64_t bound) {
    return bytes <= bound && used <= bound - bytes;
  };
  for (uint32_t i = 0; i < request.ahead; ++i) {
    const std::optional<uint64_t> quota = ledger_.QuotaOf(session);
    if (!fits(ledger_.cache_bytes, ledger_.settings.limit_bytes) ||
        !fits(session.cache_bytes, ledger_.LimitOf(session)) ||
        (quota && !fits(session.leased_bytes, *quota)) ||
        ledger_.Grant(session, request, GrantAs::kAhead, Fit::kClose, grant) !=
            Ledger::GrantResult::kGranted) {
      return;
    }
    ++ledger_.totals.granted_ahead;
  }
}

Requests::Outcome Requests::Refuse(SessionBooks& session, const AcquireRequest& request,
                                   SendRefusal refusal) {
  Count(session, request, &Misses::refused, ledger_.totals.misses_refused);
  ++ledger_.totals.refused[static_cast<size_t>(refusal.reason)];
  ledger_.effects.emplace_back(std::move(refusal));
  return Outcome::kAnswered;
}

void Requests::Count(SessionBooks& session, const AcquireRequest& request, uint64_t Misses::*result,
                     uint64_t& total) {
  std::vector<Misses>& by_tag = session.misses_by_tag;
  if (by_tag.size() <= request.thread_tag) by_tag.resize(request.thread_tag + 1);
  ++(session.misses.*result);
  ++(by_tag[request.thread_tag].*result);
  session.misses_by_spec.Count(request.spec, request.size_bytes, result);
  ledger_.misses_by_spec.Count(request.spec, request.size_bytes, result);
  ++total;
}

void Requests::Left(const Waiting& waiting) {
  deadlines_.erase(deadlines_.find(waiting.deadline));
  if (SessionBooks* session = ledger_.Find(waiting.session)) --session->pending;
}

void Requests::Drop(SessionId session) {
  const SessionBooks* books = ledger_.Find(session);
  if (books == nullptr || books->pending == 0) return;
  for (auto& line : lines_) {
    std::erase_if(line, [&](const Waiting& waiting) {
      if (waiting.session != session) return false;
      Left(waiting);
      return true;
    });
  }
}

void Requests::Serve(GroupId group) {
  if (group >= lines_.size()) return;
  auto& line = lines_[group];
  for (bool expired = true; expired && !line.empty();) {
    while (!line.empty() && Try(line.front()) == Outcome::kAnswered) {
      Left(line.front());
      line.pop_front();
    }
    expired = waiting() && *deadlines_.begin() <= ledger_.now &&
              std::erase_if(line, [&](const Waiting& waiting) {
                if (waiting.deadline > ledger_.now) return false;
                if (SessionBooks* session = ledger_.Find(waiting.session)) {
                  Refuse(*session, waiting.request,
                         OutOfMemory(ledger_, *session, waiting.request, slabs_.device_error()));
                }
                Left(waiting);
                return true;
              }) > 0;
  }
}

void Requests::Serve() {
  if (!waiting()) return;
  std::vector<std::pair<uint64_t, GroupId>> heads;
  for (GroupId group = 0; group < lines_.size(); ++group) {
    if (!lines_[group].empty()) heads.push_back({lines_[group].front().arrival, group});
  }
  std::sort(heads.begin(), heads.end());
  for (const auto& [arrival, group] : heads) Serve(group);
}

}  // namespace nvcv_cached::server::core
