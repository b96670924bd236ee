// nvcv-cachectl: looks at daemons and changes their settings. Looking never starts one.
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/failure.h"
#include "client/cli/print.h"
#include "proto/units.h"

namespace {

using namespace nvcv_cached::cli;  // NOLINT: this file is the program

constexpr char kAddressVariable[] = "NVCV_CACHED_ADDRESS";
constexpr double kLongestWatch = 24 * 3600;

std::string CheckWatch(const std::string& text) {
  double seconds = 0;
  if (CLI::detail::lexical_cast(text, seconds) && seconds > 0 && seconds <= kLongestWatch) {
    return {};
  }
  return "\"" + text + "\" is no time between two looks; write seconds above 0, at most 86400";
}

std::string CheckRows(const std::string& text) {
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos) return {};
  return "\"" + text + "\" is no number of rows; write 0 or more";
}

// One of a few words, and nothing but these.
template <class Value>
CLI::Validator OneOf(std::vector<std::pair<std::string, Value>> words) {
  return CLI::Validator(
      [words = std::move(words)](std::string& text) {
        std::string known;
        for (const auto& [word, value] : words) {
          if (text == word) {
            text = std::to_string(static_cast<int>(value));
            return std::string();
          }
          known += (known.empty() ? "" : ", ") + word;
        }
        return "\"" + text + "\" is unknown; write one of " + known;
      },
      "");
}

// "bogus", of a command line that names a command that there is none of.
std::string UnknownCommand(const CLI::App& app) {
  for (const std::string& word : app.remaining()) {
    if (!word.empty() && word.front() != '-') return word;
  }
  return {};
}

void AddGlobalOptions(CLI::App& app, GlobalOptions& options, std::string& timeout) {
  app.add_option("-d,--device", options.device, "The daemon of this device: host, cuda:N, GPU-uuid")
      ->option_text("host|DEVICE");
  app.add_option("--address", options.address,
                 std::string("The daemon at this socket; else $") + kAddressVariable)
      ->option_text("PATH");
  app.add_option("--timeout", timeout, "Of each call (5s)")->option_text("TIME");
  app.add_option("-o,--output", options.output, "How to print (table)")
      ->transform(OneOf<Output>(
          {{"table", Output::kTable}, {"wide", Output::kWide}, {"json", Output::kJson}}))
      ->option_text("table|wide|json")
      ->take_last();
  app.add_flag_callback(
      "--no-headers", [&options] { options.headers = false; }, "Rows only");
  app.add_option("--sort", options.sort, "By this column, largest first; -COLUMN smallest first")
      ->option_text("COLUMN");
  app.add_option("-n", options.rows, "The first N rows only")->option_text("N")->check(CheckRows);
  app.add_option("--color", options.color, "Colours (auto)")
      ->option_text("auto|always|never")
      ->transform(OneOf<Color>(
          {{"auto", Color::kAuto}, {"always", Color::kAlways}, {"never", Color::kNever}}));
  app.add_flag("--all", options.all, "Every daemon of the node: to change each, or to ping each");
  app.add_option("-w,--watch", options.watch_seconds, "Repeat every SEC seconds (2)")
      ->option_text("[SEC]")
      ->expected(0, 1)
      ->default_str("2")
      ->check(CheckWatch);
}

// What was named on the command line is meant, whatever the environment says.
void ChooseDaemon(GlobalOptions& options) {
  if (!options.device.empty() || !options.address.empty()) {
    ::unsetenv(kAddressVariable);  // `start` reads it as a client does
  } else if (const char* address = std::getenv(kAddressVariable); address != nullptr) {
    options.address = address;
  }
}

// Of a command line that does not parse: the parser may not have come to -o.
Output OutputAsked(int argc, char** argv) {
  Output output = Output::kTable;
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    std::string_view value;
    if (word == "-o" || word == "--output") {
      value = i + 1 < argc ? argv[i + 1] : "";
    } else if (word.substr(0, 9) == "--output=") {
      value = word.substr(9);
    } else if (word.substr(0, 2) == "-o") {
      value = word.substr(2);
      if (!value.empty() && value.front() == '=') value.remove_prefix(1);
    }
    if (!value.empty()) output = value == "json" ? Output::kJson : Output::kTable;
  }
  return output;
}

// Output that got lost is a failure.
void CheckWritten() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good()) return;
  throw Failure::Lost(errno);
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
  AddMetricsCommands(app, options);
  AddLifecycleCommands(app, options);
  AddSnapshotCommand(app, options);
  AddTopCommand(app, options);
  AddEventsCommand(app, options);
  AddDoctorCommand(app, options);
  AddCompletionCommand(app);
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
      ChooseDaemon(options);
    });
    do {
      app.parse(argc, argv);
      CheckWritten();
      if (options.watch_seconds) {
        std::this_thread::sleep_for(std::chrono::duration<double>(*options.watch_seconds));
        Print(std::string("\n"));
      }
    } while (options.watch_seconds);
  } catch (const CLI::Success& help) {
    app.exit(help);
    CheckWritten();
  } catch (const CLI::RequiredError& error) {
    const std::string unknown = UnknownCommand(app);
    throw Failure(ExitCode::kUsage, "usage",
                  unknown.empty() ? error.what() : "there is no command " + unknown,
                  "nvcv-cachectl --help");
  } catch (const CLI::ParseError& error) {
    throw Failure(ExitCode::kUsage, "usage", error.what(), "nvcv-cachectl --help");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const Failure& failure) {
    Print(failure, OutputAsked(argc, argv));
    return static_cast<int>(failure.code());
  }
}
