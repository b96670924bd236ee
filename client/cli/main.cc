// nvcv-cachectl: looks at daemons and changes their settings. Looking never starts one.
#include <chrono>
#include <cstdlib>
#include <thread>

#include "client/cli/commands.h"
#include "client/cli/failure.h"
#include "client/cli/print.h"
#include "proto/units.h"

namespace {

using namespace nvcv_cached::cli;  // NOLINT: this file is the program

void AddGlobalOptions(CLI::App& app, GlobalOptions& options, std::string& timeout) {
  app.add_option("-d,--device", options.device, "The daemon of this device (host, GPU-...)");
  app.add_option("--address", options.address, "The daemon at this socket")
      ->envname("NVCV_CACHED_ADDRESS");
  app.add_option("--timeout", timeout, "Of each call")->capture_default_str();
  app.add_option("-o,--output", options.output, "table, wide or json")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Output>{
          {"table", Output::kTable}, {"wide", Output::kWide}, {"json", Output::kJson}}))
      ->take_last();
  app.add_flag("!--no-headers", options.headers, "Rows only");
  app.add_option("--sort", options.sort, "By this column, largest first; -COLUMN smallest first");
  app.add_option("-n", options.rows, "The first N rows only");
  app.add_option("--color", options.color, "auto, always or never")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Color>{
          {"auto", Color::kAuto}, {"always", Color::kAlways}, {"never", Color::kNever}}));
  app.add_flag("--all", options.all, "Change every daemon of the node");
  app.add_option("-w,--watch", options.watch_seconds, "Repeat every SEC seconds (2)")
      ->expected(0, 1)
      ->default_str("2");
}

int Run(int argc, char** argv) {
  GlobalOptions options;
  std::string timeout = "5s";
  CLI::App app("Looks at nvcv-cached daemons and changes their settings.", "nvcv-cachectl");
  app.footer(
      "Exit: 0 ok, 1 refused or failed, 2 usage, 3 not serving, 4 no daemon, 5 not permitted.\n"
      "Examples:\n"
      "  nvcv-cachectl status\n"
      "  nvcv-cachectl leases --sort bytes -n 10\n"
      "  nvcv-cachectl limit 8GiB");
  app.require_subcommand(1);
  app.fallthrough();
  AddGlobalOptions(app, options, timeout);
  AddStatusCommands(app, options);
  AddListCommands(app, options);
  AddSettingCommands(app, options);
  AddChangeCommands(app, options);
  AddLifecycleCommands(app, options);
  try {
    // Options are complete before any callback of a command runs.
    app.parse_complete_callback([&] {
      const auto parsed = nvcv_cached::ParseDuration(timeout);
      if (!parsed.ok()) throw Failure::Of(parsed.status(), "--timeout");
      if (!*parsed || **parsed > std::chrono::hours(24)) {
        throw Failure(ExitCode::kUsage, "invalid_argument", "--timeout " + timeout,
                      "write at most 24h");
      }
      options.timeout = **parsed;
    });
    do {
      app.parse(argc, argv);
      std::fflush(stdout);
      if (options.watch_seconds) {
        std::this_thread::sleep_for(std::chrono::duration<double>(*options.watch_seconds));
        Print(std::string("\n"));
      }
    } while (options.watch_seconds);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  } catch (const Failure& failure) {
    Print(failure, options.output);
    return static_cast<int>(failure.code());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return Run(argc, argv); }
