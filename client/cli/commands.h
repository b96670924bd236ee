// The commands of nvcv-cachectl, by what they do to a daemon. Each function adds its subcommands to
// the parser; a command runs as the parser's callback, prints to stdout and throws Failure.
#pragma once

#include <CLI/CLI.hpp>

#include "client/cli/options.h"

namespace nvcv_cached::cli {

void AddStatusCommands(CLI::App& app,
                       const GlobalOptions& options);  // status, stats, ping, version
void AddListCommands(CLI::App& app,
                     const GlobalOptions& options);  // sessions, slabs, leases, misses
void AddSettingCommands(CLI::App& app, const GlobalOptions& options);  // limit, policy, quota
void AddChangeCommands(CLI::App& app, const GlobalOptions& options);  // clear, trim, drain, undrain
void AddMetricsCommands(CLI::App& app, const GlobalOptions& options);    // metrics
void AddLifecycleCommands(CLI::App& app, const GlobalOptions& options);  // start, stop
void AddSnapshotCommand(CLI::App& app, const GlobalOptions& options);
void AddTopCommand(CLI::App& app, const GlobalOptions& options);
void AddCompletionCommand(CLI::App& app);

void AddEventsCommand(CLI::App& app, const GlobalOptions& options);  // events
void AddDoctorCommand(CLI::App& app, const GlobalOptions& options);  // doctor

}  // namespace nvcv_cached::cli
