#include "client/cli/metric_families.h"

#include <prometheus/client_metric.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <map>
#include <regex>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "client/cli/state_name.h"

namespace nvcv_cached::cli {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct Definition {
  std::string_view name, type, help;
};

// Made of the comments of admin.proto (CMakeLists.txt).
constexpr Definition kDefinitions[] = {
#include "metric_definitions.inc"
};

MetricType TypeOf(std::string_view type) {
  return type == "counter"     ? MetricType::Counter
         : type == "histogram" ? MetricType::Histogram
                               : MetricType::Gauge;
}

class Families {
 public:
  using Labels = std::vector<ClientMetric::Label>;

  void Add(std::string_view name, Labels labels, double value) {
    ClientMetric& metric = Sample(name, std::move(labels));
    metric.counter.value = value;
    metric.gauge.value = value;
  }

  void Add(std::string_view name, Labels labels, const v1::Histogram& histogram) {
    ClientMetric::Histogram& shown = Sample(name, std::move(labels)).histogram;
    shown.sample_sum = histogram.sum_seconds();
    const int bounds = histogram.bounds_seconds_size();
    for (int i = 0; i < histogram.counts_size(); ++i) {
      shown.sample_count += histogram.counts(i);
      const double bound =
          i < bounds ? histogram.bounds_seconds(i) : std::numeric_limits<double>::infinity();
      shown.bucket.push_back({shown.sample_count, bound});
    }
  }

  // In the order of the definitions; those without a sample are left out.
  std::vector<MetricFamily> Take() {
    std::vector<MetricFamily> taken;
    for (const Definition& definition : kDefinitions) {
      if (auto found = families_.find(definition.name); found != families_.end()) {
        taken.push_back(std::move(found->second));
      }
    }
    return taken;
  }

 private:
  ClientMetric& Sample(std::string_view name, Labels labels) {
    auto found = families_.find(name);
    if (found == families_.end()) {
      const auto* definition =
          std::find_if(std::begin(kDefinitions), std::end(kDefinitions),
                       [&](const Definition& known) { return known.name == name; });
      if (definition == std::end(kDefinitions)) {
        throw std::logic_error("admin.proto does not define metric " + std::string(name));
      }
      found = families_
                  .emplace(definition->name,
                           MetricFamily{"nvcv_cached_" + std::string(definition->name),
                                        std::string(definition->help),
                                        TypeOf(definition->type),
                                        {}})
                  .first;
    }
    return found->second.metric.emplace_back(
        ClientMetric{std::move(labels), {}, {}, {}, {}, {}, 0});
  }

  std::map<std::string_view, MetricFamily> families_;
};

// Samples of one daemon.
class OfDaemon {
 public:
  OfDaemon(Families& families, const std::string& device) : families_(families), device_(device) {}

  template <class Value>
  void Add(std::string_view name, const Value& value, Families::Labels labels = {}) {
    labels.insert(labels.begin(), {"device", device_});
    if constexpr (std::is_arithmetic_v<Value>) {
      families_.Add(name, std::move(labels), static_cast<double>(value));
    } else {
      families_.Add(name, std::move(labels), value);
    }
  }

  void AddEach(std::string_view name, const std::string& label,
               std::initializer_list<std::pair<const char*, uint64_t>> values) {
    for (const auto& [key, value] : values) Add(name, value, {{label, key}});
  }

  // In the order of names: a protobuf map has none.
  template <class Map>
  void AddMap(std::string_view name, const std::string& label, const Map& map) {
    for (const auto& [key, value] : std::map<std::string, uint64_t>(map.begin(), map.end())) {
      Add(name, value, {{label, key}});
    }
  }

 private:
  Families& families_;
  const std::string& device_;
};

void AddTotals(OfDaemon& of, const v1::Totals& t) {
  of.AddEach(
      "hits_total", "kind",
      {{"exact", t.hits_exact()}, {"size_class", t.hits_size_class()}, {"depot", t.hits_depot()}});
  of.AddEach("misses_total", "result",
             {{"pool", t.misses_pool()},
              {"reclaim", t.misses_reclaim()},
              {"grow", t.misses_grow()},
              {"refused", t.misses_refused()}});
  of.Add("uncached_grants_total", t.uncached_grants());
  of.Add("detached_total", t.detached());
  of.Add("granted_ahead_total", t.granted_ahead());
  of.AddMap("evictions_total", "reason", t.evictions());
  of.AddMap("evicted_bytes_total", "reason", t.evicted_bytes());
  of.AddMap("reclaims_total", "result", t.reclaims());
  of.Add("sessions_total", t.sessions());
  of.AddMap("sessions_ended_total", "cause", t.sessions_ended());
  of.Add("slab_allocations_total", t.slab_allocations());
  of.Add("slab_frees_total", t.slab_frees());
  of.AddMap("connections_refused_total", "reason", t.connections_refused());
  of.AddMap("device_errors_total", "code", t.device_errors());
  of.AddMap("refused_total", "code", t.refused());
  of.AddMap("reloads_total", "result", t.reloads());
}

void AddStats(OfDaemon& of, const v1::Stats& s) {
  of.Add("build_info", 1,
         {{"version", s.daemon_version()}, {"protocol", std::to_string(s.protocol())}});
  of.Add("device_info", 1,
         {{"name", s.device().name()},
          {"pci_bus_id", s.device().pci_bus_id()},
          {"driver", s.device().driver()}});
  for (const v1::DaemonState state : {v1::STARTING, v1::SERVING, v1::DRAINING, v1::FAILED}) {
    of.Add("state", s.state() == state ? 1 : 0, {{"state", StateName(state)}});
  }
  of.Add("start_time_seconds", s.start_time_seconds());
  of.AddEach("bytes", "state",
             {{"in_use", s.in_use_bytes()},
              {"idle", s.idle_bytes()},
              {"draining", s.draining_bytes()},
              {"quarantined", s.quarantined_bytes()},
              {"free", s.free_bytes()},
              {"slack", s.slack_bytes()}});
  of.Add("pool_bytes", s.pool_bytes());
  of.Add("capacity_bytes", s.capacity_bytes());
  of.Add("largest_free_bytes", s.largest_free_bytes());
  of.Add("foreign_bytes", s.foreign_bytes());
  of.Add("device_free_bytes", s.device_free_bytes());
  of.Add("device_total_bytes", s.device().total_bytes());
  of.Add("cache_bytes", s.cache_bytes());
  of.Add("cache_items", s.cache_items());
  of.Add("limit_bytes", s.limit_bytes());
  of.Add("sessions", s.sessions());
  of.AddEach("leases", "state",
             {{"in_use", s.leases_in_use()},
              {"idle", s.leases_idle()},
              {"draining", s.leases_draining()},
              {"quarantined", s.leases_quarantined()}});
  of.Add("slabs", s.slabs());
  of.Add("acquire_duration_seconds", s.acquire_duration());
  of.Add("reclaim_duration_seconds", s.reclaim_duration());
  of.Add("death_to_free_seconds", s.death_to_free());
}

// One process may have several sessions, an old one that is not proven gone beside its successor.
void AddSessions(OfDaemon& of, const std::vector<SessionLabels>& sessions) {
  std::map<std::tuple<std::string, std::string, std::string, std::string>, uint64_t> sums;
  for (const SessionLabels& s : sessions) sums[{s.pid, s.user, s.name, s.pod}] += s.bytes;
  for (const auto& [labels, bytes] : sums) {
    const auto& [pid, user, name, pod] = labels;
    of.Add("session_bytes", bytes, {{"pid", pid}, {"user", user}, {"name", name}, {"pod", pod}});
  }
}

}  // namespace

std::vector<MetricFamily> MetricFamilies(const std::vector<DaemonAnswer>& answers) {
  Families families;
  for (const DaemonAnswer& answer : answers) {
    OfDaemon of(families, answer.device);
    of.Add("up", answer.stats ? 1 : 0);
    if (!answer.stats) continue;
    AddStats(of, *answer.stats);
    AddTotals(of, answer.stats->totals());
    AddSessions(of, answer.sessions);
  }
  return families.Take();
}

// Both drivers of cgroups: .../pod1c0d.../... and ...-pod1c0d_....slice/...; a static pod's UID has
// no dashes.
std::string PodUid(const std::string& cgroup) {
  static const std::regex kPod(
      "pod([0-9a-f]{8}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{12})");
  std::smatch match;
  if (!std::regex_search(cgroup, match, kPod)) return {};
  std::string uid = match[1];
  std::replace(uid.begin(), uid.end(), '_', '-');
  return uid;
}

}  // namespace nvcv_cached::cli
