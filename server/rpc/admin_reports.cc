#include "server/rpc/admin_reports.h"

#include <array>
#include <chrono>
#include <fstream>
#include <string>
#include <string_view>
#include <unordered_set>

#include "absl/strings/str_cat.h"
#include "server/rpc/messages.h"

namespace nvcv_cached::server {
namespace {

constexpr std::array<const char*, kEvictReasons> kReasonNames{"limit", "pressure", "clear", "quota",
                                                              "trim"};
constexpr std::array<const char*, kEndCauses> kCauseNames{"close", "exit", "protocol"};

const char* Name(BlockState state) {
  switch (state) {
    case BlockState::kFree:
      return "free";
    case BlockState::kInUse:
      return "in_use";
    case BlockState::kIdle:
      return "idle";
    case BlockState::kDraining:
      return "draining";
    case BlockState::kQuarantined:
      return "quarantined";
  }
  return "?";
}

// The letter after the program's name, which may hold anything but ends with the last ')'.
std::string ProcessState(int32_t pid) {
  if (pid <= 0) return "?";
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  if (!std::getline(file, line)) return "?";
  const size_t end = line.rfind(')');
  return end != std::string::npos && end + 2 < line.size() ? line.substr(end + 2, 1) : "?";
}

double Seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

void Fill(const Histogram& histogram, v1::Histogram* message) {
  for (const int64_t bound : Histogram::kBoundsNs) {
    message->add_bounds_seconds(Seconds(std::chrono::nanoseconds(bound)));
  }
  message->mutable_counts()->Assign(histogram.counts.begin(), histogram.counts.end());
  message->set_sum_seconds(Seconds(histogram.sum));
}

}  // namespace

void Fill(const Totals& totals, v1::Stats* stats) {
  v1::Totals* message = stats->mutable_totals();
  message->set_hits_exact(totals.hits_exact);
  message->set_hits_size_class(totals.hits_size_class);
  message->set_hits_depot(totals.hits_depot);
  message->set_misses_pool(totals.misses_pool);
  message->set_misses_reclaim(totals.misses_reclaim);
  message->set_misses_grow(totals.misses_grow);
  message->set_misses_refused(totals.misses_refused);
  message->set_uncached_grants(totals.uncached_grants);
  message->set_detached(totals.detached);
  message->set_granted_ahead(totals.granted_ahead);
  for (size_t i = 0; i < kEvictReasons; ++i) {
    (*message->mutable_evictions())[kReasonNames[i]] = totals.evictions[i];
    (*message->mutable_evicted_bytes())[kReasonNames[i]] = totals.evicted_bytes[i];
  }
  (*message->mutable_reclaims())["taken"] = totals.reclaims_taken;
  (*message->mutable_reclaims())["lost"] = totals.reclaims_lost;
  (*message->mutable_reclaims())["fence"] = totals.reclaims_fence;
  for (size_t i = 0; i < kEndCauses; ++i) {
    (*message->mutable_sessions_ended())[kCauseNames[i]] = totals.sessions_ended[i];
  }
  message->set_sessions(totals.sessions);
  message->set_slab_allocations(totals.slab_allocations);
  message->set_slab_frees(totals.slab_frees);
  for (size_t i = 0; i < kRefusalReasons; ++i) {
    (*message->mutable_refused())[RefusalName(static_cast<RefusalReason>(i))] = totals.refused[i];
  }
  Fill(totals.acquire_duration, stats->mutable_acquire_duration());
  Fill(totals.reclaim_duration, stats->mutable_reclaim_duration());
  Fill(totals.death_to_free, stats->mutable_death_to_free());
}

void Fill(const PoolReport& pool, v1::Stats* message) {
  message->set_pool_bytes(pool.pool_bytes);
  message->set_in_use_bytes(pool.in_use);
  message->set_idle_bytes(pool.idle);
  message->set_draining_bytes(pool.draining);
  message->set_quarantined_bytes(pool.quarantined);
  message->set_free_bytes(pool.free);
  message->set_slack_bytes(pool.slack);
  message->set_capacity_bytes(pool.capacity_bytes);
  message->set_largest_free_bytes(pool.largest_free_bytes);
  message->set_foreign_bytes(pool.foreign_bytes);
  message->set_cache_bytes(pool.cache_bytes);
  message->set_cache_items(pool.cache_items);
  message->set_limit_bytes(pool.limit_bytes);
  message->set_sessions(pool.sessions);
  message->set_leases_in_use(pool.leases_in_use);
  message->set_leases_idle(pool.leases_idle);
  message->set_leases_draining(pool.leases_draining);
  message->set_leases_quarantined(pool.leases_quarantined);
  message->set_slabs(pool.slabs);
}

void Fill(const SlabReport& slab, v1::SlabInfo* message) {
  message->set_id(slab.id);
  message->set_size_bytes(slab.size_bytes);
  message->set_domain(slab.domain);
  message->set_mapped_by(slab.mapped_by);
  message->set_size_class(slab.size_class == SizeClass::kSmall ? "small" : "large");
  message->set_state(slab.retiring ? "retiring" : "serving");
  for (const SlabReport::Extent& extent : slab.extents) {
    v1::SlabExtent* filled = message->add_extents();
    filled->set_offset(extent.offset);
    filled->set_size_bytes(extent.size);
    filled->set_state(Name(extent.state));
    filled->set_session(extent.session);
  }
}

void Fill(const LeaseReport& lease, v1::LeaseInfo* message) {
  message->set_session(lease.session);
  message->set_slot(lease.slot);
  message->set_session_name(lease.session_name);
  message->set_state(Name(lease.state));
  message->set_size_bytes(lease.size_bytes);
  message->set_block_bytes(lease.block.size);
  message->set_spec(lease.spec);
  message->set_idle_seconds(lease.idle_seconds);
  message->set_slab(lease.block.slab);
  message->set_offset(lease.block.offset);
  message->set_cached(lease.cached);
}

void Fill(const MissReport& misses, v1::SpecMisses* message) {
  message->set_spec(misses.spec);
  message->set_size_bytes(misses.size_bytes);
  message->set_misses_pool(misses.pool);
  message->set_misses_reclaim(misses.reclaim);
  message->set_misses_grow(misses.grow);
  message->set_misses_refused(misses.refused);
}

std::vector<v1::SessionInfo> Sessions(Broker& broker) {
  return Sessions(broker, broker.With([](Books& books) { return books.GetSessions(); }));
}

std::vector<v1::SessionInfo> Sessions(Broker& broker, const std::vector<SessionReport>& reports) {
  const std::unordered_set<SessionId> attached = broker.AttachedSessions();
  std::vector<v1::SessionInfo> sessions(reports.size());
  for (size_t i = 0; i < reports.size(); ++i) {
    const SessionReport& report = reports[i];
    v1::SessionInfo& message = sessions[i];
    message.set_id(report.id);
    message.set_pid(report.pid);
    message.set_uid(report.uid);
    message.set_name(report.name);
    message.set_process_state(ProcessState(report.pid));
    message.set_state(report.state == SessionState::kDead      ? "dead"
                      : report.state == SessionState::kLeaving ? "leaving"
                      : attached.contains(report.id)           ? "attached"
                                                               : "detached");
    message.set_age_seconds(report.age_seconds);
    message.set_in_use_bytes(report.in_use);
    message.set_idle_bytes(report.idle);
    message.set_quarantined_bytes(report.quarantined);
    message.set_leases(report.leases);
    message.set_hits(report.hits);
    message.set_misses(report.misses);
    message.set_last_seen_seconds(report.last_seen_seconds);
    message.set_quota_bytes(report.quota_bytes.value_or(0));
    message.set_cache_bytes(report.cache_bytes);
    if (report.limit_bytes) message.set_limit_bytes(*report.limit_bytes);
    message.set_domain(report.domain);
  }
  return sessions;
}

v1::DaemonState ToMessage(ServingState state) {
  switch (state) {
    case ServingState::kServing:
      return v1::SERVING;
    case ServingState::kDraining:
      return v1::DRAINING;
    case ServingState::kFailed:
      return v1::FAILED;
  }
  return v1::FAILED;
}

}  // namespace nvcv_cached::server
