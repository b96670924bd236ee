// The checks of `nvcv-cachectl doctor`. Each looks at one thing and adds its findings to the report
// under the name that stands beside it; none changes anything, and none throws. Not thread-safe.
#pragma once

#include <chrono>

#include "client/cli/daemons.h"
#include "client/cli/doctor/machine.h"
#include "client/cli/doctor/report.h"
#include "client/cli/options.h"

namespace nvcv_cached::cli {

// Of the machine and of this process.
void CheckClientSettings(const Machine& machine, Report& report);  // settings
void CheckDriver(const Machine& machine, Report& report);          // driver
void CheckDeviceNodes(const Machine& machine, Report& report);     // device-nodes
void CheckComputeMode(const Machine& machine, Report& report);     // compute-mode
void CheckMps(const Machine& machine, Report& report);             // mps
void CheckMig(const Machine& machine, Report& report);             // mig
void CheckWsl2(const Machine& machine, Report& report);            // wsl2
void CheckDescriptors(const Machine& machine, Report& report);     // descriptors
void CheckMemfd(const Machine& machine, Report& report);           // memfd

// Of the places where daemons listen: owner and mode of both folders, sockets that nobody listens
// on, the right to connect. Returns the daemons that answer.
void CheckSocketFolders(Report& report);                                         // folder
std::vector<Daemon> CheckSockets(const GlobalOptions& options, Report& report);  // socket, daemon

// Of one daemon that answers.
struct Patient {
  const Daemon& daemon;
  const v1::Stats& stats;
  const Machine& machine;
  std::chrono::milliseconds timeout;
};
void CheckState(const Patient& patient, Report& report);              // state
void CheckVersions(const Patient& patient, Report& report);           // versions
void CheckEqualPids(const Patient& patient, Report& report);          // equal-pids
void CheckDaemonDescriptors(const Patient& patient, Report& report);  // daemon-descriptors
void CheckDeviceMemory(const Patient& patient, Report& report);       // device-memory
void CheckHostMemory(const Patient& patient, Report& report);         // host-memory
// 1 MiB acquired, written, read back and released; and how the daemon sees this process meanwhile.
void CheckTrial(const Patient& patient, Report& report);  // trial, pid-namespace

}  // namespace nvcv_cached::cli
