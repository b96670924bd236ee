// The whole way once: 1 MiB acquired as a client does it, written, read back, released.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/doctor/checks.h"
#include "client/src/connection.h"
#include "client/src/cuda/gpu.h"
#include "client/src/errors.h"
#include "proto/lease_table.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kBytes = uint64_t{1} << 20;
constexpr unsigned char kPattern = 0xa5;

// What the memory holds after it was filled with the pattern.
absl::StatusOr<std::vector<unsigned char>> WriteAndRead(const v1::DeviceInfo& device, void* data) {
  std::vector<unsigned char> back(kBytes);
  if (device.kind() == "host") {
    std::memset(data, kPattern, kBytes);
    std::memcpy(back.data(), data, kBytes);
    return back;
  }
  const absl::StatusOr<const client::Gpu*> gpu = client::Gpu::Open(device.id());
  if (!gpu.ok()) return gpu.status();
  const client::ContextScope scope(**gpu);
  const auto address = reinterpret_cast<CUdeviceptr>(data);
  const CudaDriver& driver = (*gpu)->driver();
  if (absl::Status filled = (*gpu)->Check(driver.MemsetD8(address, kPattern, kBytes), "cuMemsetD8");
      !filled.ok()) {
    return filled;
  }
  if (absl::Status read =
          (*gpu)->Check(driver.MemcpyDtoH(back.data(), address, kBytes), "cuMemcpyDtoH");
      !read.ok()) {
    return read;
  }
  return back;
}

// A daemon sees a client of another PID namespace under another number, or as 0.
void CheckPidNamespace(const Patient& patient, const std::string& name, Report& report) {
  const auto reply = patient.daemon.Call(&v1::Admin::Stub::ListSessions, v1::ListSessionsRequest());
  for (const v1::SessionInfo& session : reply.sessions()) {
    if (session.name() != name) continue;
    if (session.pid() != 0) {
      return report.Ok("pid-namespace", patient.daemon.socket() + ": it sees this process as pid " +
                                            std::to_string(session.pid()));
    }
    return report.Warn("pid-namespace",
                       patient.daemon.socket() +
                           ": it sees this process as pid 0: sessions of this PID namespace have "
                           "no number and no state there",
                       "share the PID namespace (hostPID: true in Kubernetes)");
  }
}

absl::Status TryOut(const Patient& patient, const std::string& name, Report& report) {
  const v1::DeviceInfo& device = patient.stats.device();
  Options options;
  options.address = patient.daemon.socket();
  options.device = device.id();
  options.name = name;
  options.timeout = patient.timeout;
  options.autostart = false;
  client::Connection connection(options);
  auto leases = connection.Acquire({.size_bytes = kBytes, .spec = "doctor"});
  if (!leases.ok()) return leases.status();
  const client::Lease& lease = leases->front();
  CheckPidNamespace(patient, name, report);
  const auto back = WriteAndRead(device, lease.data);
  if (lease_table::Return(*lease.slot, lease.word, std::nullopt)) connection.Returned(lease);
  connection.Leave(patient.timeout);
  if (!back.ok()) return back.status();
  const auto wrong = std::count_if(back->begin(), back->end(),
                                   [](unsigned char byte) { return byte != kPattern; });
  if (wrong == 0) return absl::OkStatus();
  return absl::DataLossError(std::to_string(wrong) + " of " + std::to_string(kBytes) +
                             " bytes are not what was written");
}

}  // namespace

void CheckTrial(const Patient& patient, Report& report) {
  const std::string at = patient.daemon.socket() + ": ";
  if (patient.stats.state() != v1::SERVING) return;
  const auto begin = Clock::now();
  absl::Status status;
  try {
    status = TryOut(patient, "nvcv-cachectl doctor " + std::to_string(::getpid()), report);
  } catch (const Failure& failure) {
    return report.Fail("trial", failure.what(), failure.hint());
  }
  if (!status.ok()) {
    const std::string hint = client::HintOf(status);
    return report.Fail("trial", at + std::string(status.message()),
                       hint.empty() ? "see the daemon's log" : hint);
  }
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
  report.Ok("trial", at + FormatSize(kBytes) + " acquired, written, read and released in " +
                         std::to_string(took.count()) + " us");
}

}  // namespace nvcv_cached::cli
