// What a process has counted: the sessions before this one, and this one as its daemon says, or as
// the client saw it once the daemon is gone.
#include <algorithm>
#include <optional>

#include "client/src/connection.h"
#include "client/src/link.h"
#include "client/src/session.h"
#include "client/src/wait_scope.h"
#include "nvcv_cached/v1/session.pb.h"

namespace nvcv_cached::client {

namespace {

Stats ToStats(const v1::Counts& counts) {
  Stats stats;
  stats.hits_exact = counts.hits_exact();
  stats.hits_size_class = counts.hits_size_class();
  stats.hits_depot = counts.hits_depot();
  stats.hits = stats.hits_exact + stats.hits_size_class + stats.hits_depot;
  stats.misses = counts.misses();
  stats.misses_reclaim = counts.misses_reclaim();
  stats.misses_grow = counts.misses_grow();
  stats.refused = counts.refused();
  stats.cache_items = counts.cache_items();
  stats.cache_bytes = counts.cache_bytes();
  return stats;
}

constexpr std::uint64_t Stats::*kCounters[] = {
    &Stats::hits_exact,     &Stats::hits_size_class, &Stats::hits_depot, &Stats::misses,
    &Stats::misses_reclaim, &Stats::misses_grow,     &Stats::refused};

// Each counter's larger one: what a daemon counted and could not answer any more, and what it
// answered and this process has not seen.
Stats Larger(const Stats& a, const Stats& b) {
  Stats larger;
  for (auto counter : kCounters) larger.*counter = std::max(a.*counter, b.*counter);
  return larger;
}

Stats SeenHere(const Link& link) {
  const Session::Hits hits = link.session().SumHits();
  Stats seen;
  seen.hits_exact = hits.exact;
  seen.hits_size_class = hits.size_class;
  seen.hits_depot = hits.depot;
  seen.misses = link.misses().all;
  seen.misses_reclaim = link.misses().reclaim;
  seen.misses_grow = link.misses().grow;
  seen.refused = link.misses().refused;
  return seen;
}

}  // namespace

void Connection::AddCounters(Stats& to, const Stats& counters) {
  for (auto counter : kCounters) to.*counter += counters.*counter;
  to.hits = to.hits_exact + to.hits_size_class + to.hits_depot;
}

void Connection::CountOff(const Link& link) {
  AddCounters(past_, Larger(SeenHere(link), told_));
  told_ = {};
}

absl::StatusOr<Stats> Connection::Count(Scope scope, uint32_t thread_tag) {
  WaitScope waiting;
  absl::StatusOr<Settings> settings = SettingsNow();
  if (!settings.ok()) return settings.status();
  const Deadline deadline = Clock::now() + settings->timeout;
  while (true) {
    std::shared_ptr<Link> link = LinkIfOpen();
    if (link == nullptr && scope == Scope::kDaemon) {
      absl::StatusOr<std::shared_ptr<Link>> ready = Ready(deadline, Start::kNever);
      if (absl::IsNotFound(ready.status())) return Stats{};
      if (!ready.ok()) return ready.status();
      link = *std::move(ready);
    }
    std::optional<Stats> answered;
    if (link != nullptr) {
      absl::StatusOr<v1::Counts> counts =
          Query(*link, *settings, "reading the counters", scope, thread_tag, deadline);
      if (!counts.ok() && !absl::IsAborted(counts.status())) return counts.status();
      if (counts.ok()) answered = ToStats(*counts);
    }
    if (scope != Scope::kProcess) return answered.value_or(Stats{});
    std::lock_guard lock(mutex_);
    // Another session by now: what this one answered is in past_ already, or came too late for it.
    if (link != nullptr && link_ != link) continue;
    Stats stats = past_;
    if (link_ == nullptr) return stats;
    if (answered) {
      told_ = Larger(told_, *answered);
      stats.cache_items = answered->cache_items;
      stats.cache_bytes = answered->cache_bytes;
    }
    AddCounters(stats, link_->closed() ? Larger(SeenHere(*link_), told_) : told_);
    return stats;
  }
}

}  // namespace nvcv_cached::client
