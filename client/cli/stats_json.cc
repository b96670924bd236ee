#include "client/cli/stats_json.h"

#include <map>

#include "client/cli/setting.h"
#include "proto/time_text.h"

namespace nvcv_cached::cli {

using Json = nlohmann::ordered_json;

namespace {

// In the order of names: a protobuf map has none.
template <class Map>
Json Sorted(const Map& map) {
  Json json = Json::object();
  for (const auto& [key, value] : std::map<std::string, uint64_t>(map.begin(), map.end())) {
    json[key] = value;
  }
  return json;
}

Json TotalsJson(const v1::Totals& t) {
  return {{"hits", Hits(t)},
          {"hits_exact", t.hits_exact()},
          {"hits_size_class", t.hits_size_class()},
          {"hits_depot", t.hits_depot()},
          {"misses", Misses(t)},
          {"misses_pool", t.misses_pool()},
          {"misses_reclaim", t.misses_reclaim()},
          {"misses_grow", t.misses_grow()},
          {"refused", t.misses_refused()},
          {"uncached_grants", t.uncached_grants()},
          {"detached", t.detached()},
          {"granted_ahead", t.granted_ahead()},
          {"evictions", Sorted(t.evictions())},
          {"evicted_bytes", Sorted(t.evicted_bytes())},
          {"reclaims", Sorted(t.reclaims())},
          {"sessions", t.sessions()},
          {"sessions_ended", Sorted(t.sessions_ended())},
          {"slab_allocations", t.slab_allocations()},
          {"slab_frees", t.slab_frees()},
          {"connections_refused", Sorted(t.connections_refused())},
          {"device_errors", Sorted(t.device_errors())},
          {"refused_by_code", Sorted(t.refused())},
          {"reloads", Sorted(t.reloads())}};
}

Json HistogramJson(const v1::Histogram& histogram) {
  uint64_t count = 0;
  for (const uint64_t bucket : histogram.counts()) count += bucket;
  return {{"count", count},
          {"sum_seconds", histogram.sum_seconds()},
          {"bounds_seconds", histogram.bounds_seconds()},
          {"counts", histogram.counts()}};
}

}  // namespace

uint64_t Hits(const v1::Totals& t) { return t.hits_exact() + t.hits_size_class() + t.hits_depot(); }

uint64_t Misses(const v1::Totals& t) {
  return t.misses_pool() + t.misses_reclaim() + t.misses_grow() + t.misses_refused();
}

Json ToJson(const v1::Stats& s) {
  Json settings = Json::object();
  for (const v1::Setting& setting : s.settings()) {
    settings[setting.key()] = {{"value", SettingValue(setting)}, {"origin", setting.origin()}};
  }
  const v1::DeviceInfo& device = s.device();
  return {
      {"schema", kStatsSchema},
      {"time", FormatTime(s.time_unix_ms(), TimeDigits::kSeconds)},
      {"version", {{"daemon", s.daemon_version()}, {"protocol", s.protocol()}}},
      {"device",
       {{"kind", device.kind()},
        {"id", device.id()},
        {"index", device.index()},
        {"name", device.name()},
        {"total_bytes", device.total_bytes()},
        {"free_bytes", s.device_free_bytes()},
        {"pci_bus_id", device.pci_bus_id()},
        {"driver", device.driver()}}},
      {"state", StateName(s.state())},
      {"pid", s.pid()},
      {"socket", s.socket()},
      {"epoch", s.epoch()},
      {"uptime_seconds", s.uptime_seconds()},
      {"start_time_seconds", s.start_time_seconds()},
      {"settings", settings},
      {"pool",
       {{"pool_bytes", s.pool_bytes()},
        {"bytes",
         {{"in_use", s.in_use_bytes()},
          {"idle", s.idle_bytes()},
          {"draining", s.draining_bytes()},
          {"quarantined", s.quarantined_bytes()},
          {"free", s.free_bytes()},
          {"slack", s.slack_bytes()}}},
        {"capacity_bytes", s.capacity_bytes()},
        {"largest_free_bytes", s.largest_free_bytes()},
        {"foreign_bytes", s.foreign_bytes()}}},
      {"cache",
       {{"bytes", s.cache_bytes()}, {"items", s.cache_items()}, {"limit_bytes", s.limit_bytes()}}},
      {"sessions", s.sessions()},
      {"leases",
       {{"in_use", s.leases_in_use()},
        {"idle", s.leases_idle()},
        {"draining", s.leases_draining()},
        {"quarantined", s.leases_quarantined()}}},
      {"slabs", s.slabs()},
      {"durations",
       {{"acquire", HistogramJson(s.acquire_duration())},
        {"reclaim", HistogramJson(s.reclaim_duration())},
        {"death_to_free", HistogramJson(s.death_to_free())}}},
      {"totals", TotalsJson(s.totals())}};
}

}  // namespace nvcv_cached::cli
