// What Prometheus is told of daemons: names, labels and helps of admin.proto's definitions.
//
// Every sample has the label `device`, the daemon's. A daemon that does not answer is told of by
// `up` alone. Pure; thread-safe.
#pragma once

#include <prometheus/metric_family.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nvcv_cached/v1/admin.pb.h"

namespace nvcv_cached::cli {

struct SessionLabels {
  std::string pid, user, name;
  std::string pod;  // its UID; empty: in none
  uint64_t bytes = 0;
};

struct DaemonAnswer {
  std::string device;  // the GPU's UUID, or host
  std::optional<v1::Stats> stats;
  std::vector<SessionLabels> sessions;  // those to be told of
};

// No two answers may be of one device: Prometheus takes a sample once.
std::vector<prometheus::MetricFamily> MetricFamilies(const std::vector<DaemonAnswer>& answers);

// The Kubernetes pod's UID in what /proc/PID/cgroup says; empty: in none.
std::string PodUid(const std::string& cgroup);

}  // namespace nvcv_cached::cli
