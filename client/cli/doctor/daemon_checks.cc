// One daemon that answers: whether it fits this client, and what the system lets it have.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>

#include "client/cli/doctor/checks.h"
#include "client/cli/setting.h"
#include "client/cli/state_name.h"
#include "proto/host_memory.h"
#include "proto/units.h"
#include "proto/version.h"

namespace nvcv_cached::cli {

namespace {

// Below it numbers are those that containers' processes have.
constexpr int kLowPids = 1000;
// Of one session: its connection and a copy, two pidfds, its descriptor socket.
constexpr uint64_t kDescriptorsOfSession = 5;
constexpr uint64_t kDescriptorsOfDaemon = 64;

std::string At(const Patient& patient) { return patient.daemon.socket() + ": "; }

bool IsHost(const Patient& patient) { return patient.stats.device().kind() == "host"; }

}  // namespace

void CheckState(const Patient& patient, Report& report) {
  const std::string text = At(patient) + StateName(patient.stats.state());
  if (patient.stats.state() == v1::SERVING) return report.Ok("state", text);
  if (patient.stats.state() == v1::FAILED) {
    return report.Fail("state", text + ": the device does not answer", "see the daemon's log");
  }
  report.Warn("state", text + ": it takes no new sessions", "nvcv-cachectl undrain, or wait");
}

void CheckVersions(const Patient& patient, Report& report) {
  const std::string theirs = patient.stats.daemon_version();
  const uint32_t protocol = patient.stats.protocol();
  const std::string text = At(patient) + "daemon " + theirs + " speaks protocol " +
                           std::to_string(protocol) + ", this client " + kVersion + " speaks " +
                           std::to_string(kProtocolMin) + "-" + std::to_string(kProtocolMax);
  if (protocol < kProtocolMin || protocol > kProtocolMax) {
    return report.Fail(
        "versions", text,
        protocol > kProtocolMax ? "upgrade this environment's nvcv-cached" : "upgrade the daemon");
  }
  if (theirs != kVersion) {
    return report.Warn("versions", text, "it works; upgrade the older one when it suits");
  }
  report.Ok("versions", text);
}

// CUDA IPC fails between two processes with one number, each in a PID namespace of its own.
void CheckEqualPids(const Patient& patient, Report& report) {
  const int theirs = patient.stats.pid();
  const std::string text = At(patient) + "the daemon is pid " + std::to_string(theirs) +
                           " in its PID namespace, this process pid " + std::to_string(::getpid());
  const bool elsewhere = patient.daemon.pid() != theirs;
  if (IsHost(patient)) return report.Ok("equal-pids", text + "; on the host device it may be");
  if (elsewhere && theirs == ::getpid()) {
    return report.Fail("equal-pids", text + " in another: CUDA IPC fails between them",
                       "start this process again, or share the PID namespace (hostPID)");
  }
  if (theirs < kLowPids) {
    return report.Warn("equal-pids", text + "; other containers' processes have such low numbers",
                       "share the PID namespace (hostPID), or start the daemon again");
  }
  report.Ok("equal-pids", text);
}

void CheckDaemonDescriptors(const Patient& patient, Report& report) {
  if (patient.daemon.pid() == 0) return;  // its /proc is not ours to see
  const std::string limits =
      patient.machine.Read("/proc/" + std::to_string(patient.daemon.pid()) + "/limits");
  constexpr std::string_view kLine = "Max open files";
  const size_t at = limits.find(kLine);
  if (at == std::string::npos) return;
  uint64_t limit = 0;
  std::istringstream(limits.substr(at + kLine.size())) >> limit;
  if (limit == 0) return;  // unlimited
  uint64_t sessions = 0;
  std::istringstream(SettingNamed(patient.stats, "max-sessions").value()) >> sessions;
  const uint64_t needed = sessions * kDescriptorsOfSession + kDescriptorsOfDaemon;
  const std::string text = At(patient) + "the daemon may open " + std::to_string(limit) +
                           " descriptors, " + std::to_string(sessions) + " sessions need up to " +
                           std::to_string(needed);
  if (limit >= needed) return report.Ok("daemon-descriptors", text);
  report.Warn("daemon-descriptors", text,
              "LimitNOFILE=" + std::to_string(needed) +
                  " of its unit (ulimit -Hn before it starts), or fewer --max-sessions");
}

void CheckDeviceMemory(const Patient& patient, Report& report) {
  const v1::Stats& s = patient.stats;
  const uint64_t pool = s.pool_bytes(), free = s.device_free_bytes(),
                 total = s.device().total_bytes();
  const uint64_t outside = total - std::min(total, pool + free);
  const uint64_t missing = s.capacity_bytes() - std::min(s.capacity_bytes(), pool + free);
  const std::string text = At(patient) + FormatSize(outside) + " of " + FormatSize(total) +
                           " are outside the pool, " + FormatSize(free) + " free";
  if (missing == 0) return report.Ok("device-memory", text);
  report.Warn("device-memory",
              text + ": the pool cannot grow to its capacity of " + FormatSize(s.capacity_bytes()) +
                  " by " + FormatSize(missing),
              IsHost(patient) ? "see who holds it (ps aux --sort -rss), or lower --capacity"
                              : "see who holds it (nvidia-smi), or lower --capacity");
}

void CheckHostMemory(const Patient& patient, Report& report) {
  if (!IsHost(patient) || patient.daemon.pid() == 0) return;
  const HostMemory memory =
      ReadHostMemory(patient.machine.root(), std::to_string(patient.daemon.pid()));
  const uint64_t capacity = patient.stats.capacity_bytes();
  const std::string text = At(patient) + "capacity " + FormatSize(capacity) + ", and " +
                           FormatSize(memory.total_bytes) + " is the most it may have (" +
                           memory.bound_by + ")";
  if (capacity <= memory.total_bytes) return report.Ok("host-memory", text);
  report.Fail("host-memory", text + ": the kernel would end the daemon first",
              "raise the control group's limit, or lower --capacity");
}

}  // namespace nvcv_cached::cli
