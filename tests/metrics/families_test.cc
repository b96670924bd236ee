// What Prometheus is told of daemons: one that is down, sessions with equal labels, pods.
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <sstream>

#include "client/cli/metric_families.h"

namespace nvcv_cached::cli {
namespace {

std::string Text(const std::vector<DaemonAnswer>& answers) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, MetricFamilies(answers));
  return text.str();
}

v1::Stats Serving() {
  v1::Stats stats;
  stats.set_state(v1::SERVING);
  stats.set_pool_bytes(4096);
  return stats;
}

TEST(MetricFamilies, ADaemonThatIsDownDoesNotHideTheOthers) {
  const std::string text =
      Text({{.device = "GPU-1", .stats = std::nullopt}, {.device = "host", .stats = Serving()}});
  EXPECT_NE(text.find("nvcv_cached_up{device=\"GPU-1\"} 0\n"), std::string::npos) << text;
  EXPECT_NE(text.find("nvcv_cached_up{device=\"host\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("nvcv_cached_pool_bytes{device=\"host\"} 4096\n"), std::string::npos);
  EXPECT_EQ(text.find("nvcv_cached_pool_bytes{device=\"GPU-1\"}"), std::string::npos);
}

TEST(MetricFamilies, EachFamilyIsToldOfOnce) {
  const std::string text =
      Text({{.device = "GPU-1", .stats = Serving()}, {.device = "GPU-2", .stats = Serving()}});
  const std::string type = "# TYPE nvcv_cached_pool_bytes gauge";
  const size_t first = text.find(type);
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(text.find(type, first + 1), std::string::npos);
}

TEST(MetricFamilies, HistogramsAreCumulative) {
  v1::Stats stats = Serving();
  v1::Histogram& acquire = *stats.mutable_acquire_duration();
  for (const double bound : {0.1, 1.0}) acquire.add_bounds_seconds(bound);
  for (const uint64_t count : {3, 2, 1}) acquire.add_counts(count);
  acquire.set_sum_seconds(7.5);
  const std::string text = Text({{.device = "host", .stats = stats}});
  const std::string name = "nvcv_cached_acquire_duration_seconds";
  for (const char* line :
       {"_bucket{device=\"host\",le=\"0.1\"} 3\n", "_bucket{device=\"host\",le=\"1\"} 5\n",
        "_bucket{device=\"host\",le=\"+Inf\"} 6\n", "_count{device=\"host\"} 6\n",
        "_sum{device=\"host\"} 7.5\n"}) {
    EXPECT_NE(text.find(name + line), std::string::npos) << line << text;
  }
}

TEST(MetricFamilies, SessionsWithEqualLabelsAreOneSample) {
  const SessionLabels twice{"42", "alice", "resize", "", 100};
  const std::string text =
      Text({{.device = "host",
             .stats = Serving(),
             .sessions = {twice, {"43", "alice", "a\"b\n", "1c0d", 7}, twice}}});
  EXPECT_NE(text.find("nvcv_cached_session_bytes{device=\"host\",pid=\"42\",user=\"alice\","
                      "name=\"resize\",pod=\"\"} 200\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("name=\"a\\\"b\\n\",pod=\"1c0d\"} 7\n"), std::string::npos) << text;
}

TEST(PodUid, IsFoundUnderBothDriversOfCgroups) {
  const std::string uid = "8f5c7a1e-0b1d-4c55-9d2e-0123456789ab";
  EXPECT_EQ(PodUid("0::/kubepods/burstable/pod" + uid + "/3f1e\n"), uid);
  EXPECT_EQ(PodUid("0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-"
                   "pod8f5c7a1e_0b1d_4c55_9d2e_0123456789ab.slice/cri-containerd-3f1e.scope\n"),
            uid);
  EXPECT_EQ(PodUid("0::/kubepods/pod8f5c7a1e0b1d4c559d2e0123456789ab/3f1e\n"),
            "8f5c7a1e0b1d4c559d2e0123456789ab");
  EXPECT_EQ(PodUid("0::/user.slice/user-1000.slice/session-2.scope\n"), "");
}

}  // namespace
}  // namespace nvcv_cached::cli
