// metrics: Prometheus text of all daemons of the node, once or as an exporter.
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/text_serializer.h>
#include <signal.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/daemons.h"
#include "client/cli/device_index.h"
#include "client/cli/metric_families.h"
#include "client/cli/print.h"
#include "client/src/daemon_socket.h"

namespace nvcv_cached::cli {

namespace {

uint64_t Held(const v1::SessionInfo& session) {
  return session.in_use_bytes() + session.idle_bytes() + session.quarantined_bytes();
}

std::string Pod(int32_t pid) {
  if (pid <= 0) return {};
  std::ifstream file("/proc/" + std::to_string(pid) + "/cgroup");
  return PodUid({std::istreambuf_iterator<char>(file), {}});
}

std::vector<SessionLabels> Largest(const Daemon& daemon, size_t most) {
  if (most == 0) return {};
  auto reply = daemon.Call(&v1::Admin::Stub::ListSessions, v1::ListSessionsRequest());
  auto* sessions = reply.mutable_sessions();
  std::stable_sort(
      sessions->begin(), sessions->end(),
      [](const v1::SessionInfo& a, const v1::SessionInfo& b) { return Held(a) > Held(b); });
  std::vector<SessionLabels> labels;
  for (const v1::SessionInfo& session : *sessions) {
    if (labels.size() == most) break;
    labels.push_back({std::to_string(session.pid()), client::UserName(session.uid()),
                      session.name(), Pod(session.pid()), Held(session)});
  }
  return labels;
}

// Asks every daemon whose socket is there, all at the same time: one that hangs delays the others by
// no more than its own timeout.
class NodeMetrics final : public prometheus::Collectable {
 public:
  NodeMetrics(const GlobalOptions& options, size_t sessions)
      : options_(options), sessions_(sessions) {
    (void)SoughtAs(options.device);  // asks the driver, if it must, before other threads run
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<std::future<DaemonAnswer>> asked;
    const std::vector<std::string> sockets = Sockets(options_);
    for (const std::string& socket : sockets) {
      asked.push_back(std::async(std::launch::async, [this, socket] { return Ask(socket); }));
    }
    std::map<std::string, DaemonAnswer> by_device;
    for (size_t i = 0; i < asked.size(); ++i) {
      DaemonAnswer answer = asked[i].get();
      if (!IsAskedFor(answer, sockets[i])) continue;
      auto [known, is_new] = by_device.try_emplace(answer.device, answer);
      if (is_new) continue;
      Say(sockets[i], "a second daemon of " + answer.device +
                          ", which metrics tell of once; name " + "one with --address");
      if (!known->second.stats) known->second = std::move(answer);
    }
    std::vector<DaemonAnswer> answers;
    for (auto& [device, answer] : by_device) answers.push_back(std::move(answer));
    return MetricFamilies(answers);
  }

 private:
  DaemonAnswer Ask(const std::string& socket) const {
    DaemonAnswer answer;
    try {
      const Daemon daemon(socket, options_.timeout);
      v1::Stats stats = daemon.Stats();
      answer.sessions = Largest(daemon, sessions_);
      answer.device = stats.device().id();
      answer.stats = std::move(stats);
      std::lock_guard lock(mutex_);
      devices_[socket] = answer.stats->device();
      said_.erase(socket);
    } catch (const std::exception& failure) {
      Say(socket, failure.what());
      std::lock_guard lock(mutex_);
      const auto known = devices_.find(socket);
      answer.device = known != devices_.end() ? known->second.id() : DeviceOf(socket);
    }
    return answer;
  }

  bool IsAskedFor(const DaemonAnswer& answer, const std::string& socket) const {
    std::optional<int> index;
    {
      std::lock_guard lock(mutex_);
      const auto known = devices_.find(socket);
      if (known != devices_.end()) index = known->second.index();
    }
    return index ? Names(options_.device, answer.device, *index)
                 : NamesAbsent(options_.device, answer.device, socket);
  }

  // Once for each socket, until it answers again.
  void Say(const std::string& socket, const std::string& what) const {
    std::lock_guard lock(mutex_);
    if (!said_.insert(socket).second) return;
    std::fprintf(stderr, "nvcv-cachectl: %s: %s\n", socket.c_str(), what.c_str());
  }

  const GlobalOptions options_;
  const size_t sessions_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, v1::DeviceInfo> devices_;  // that each socket answered for last
  mutable std::set<std::string> said_;
};

void Once(const NodeMetrics& metrics, const GlobalOptions& options) {
  const auto families = metrics.Collect();
  if (families.empty()) (void)DaemonsToRead(options);  // throws: nobody there
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  Print(text.str());
}

// Until SIGTERM or SIGINT.
void Listen(const std::shared_ptr<NodeMetrics>& metrics, const std::string& address) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before the server's threads
  std::unique_ptr<prometheus::Exposer> exposer;
  try {
    // ":9435" is the port on every address, which the server writes without the colon.
    exposer = std::make_unique<prometheus::Exposer>(address.rfind(':', 0) == 0 ? address.substr(1)
                                                                               : address);
  } catch (const std::exception&) {
    throw Failure(ExitCode::kFailed, "listen_failed", "cannot listen on " + address,
                  "write ADDRESS:PORT or :PORT, of this machine, and a port that is free");
  }
  exposer->RegisterCollectable(metrics);
  const std::vector<int> ports = exposer->GetListeningPorts();
  Print("metrics on " + address + ", port " + std::to_string(ports.empty() ? 0 : ports.front()) +
        ", /metrics\n");
  std::fflush(stdout);
  int signal = 0;
  ::sigwait(&ends, &signal);
}

}  // namespace

void AddMetricsCommands(CLI::App& app, const GlobalOptions& options) {
  CLI::App* command =
      app.add_subcommand("metrics", "Prometheus text of all daemons, once or as an exporter");
  auto address = std::make_shared<std::string>();
  auto sessions = std::make_shared<size_t>(0);
  command->add_option("--listen", *address, "Serve it at http://ADDRESS:PORT/metrics")
      ->option_text("[ADDRESS]:PORT");
  command->add_option("--sessions", *sessions, "And the bytes of the N largest sessions (0)")
      ->check(CLI::Range(0, 1000))
      ->option_text("N");
  command->callback([&options, address, sessions] {
    if (options.output == Output::kJson) {
      throw Failure(ExitCode::kUsage, "invalid_argument", "metrics are text for Prometheus",
                    "nvcv-cachectl stats -o json has the same numbers");
    }
    const auto metrics = std::make_shared<NodeMetrics>(options, *sessions);
    address->empty() ? Once(*metrics, options) : Listen(metrics, *address);
  });
}

}  // namespace nvcv_cached::cli
