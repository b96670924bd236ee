// doctor: looks at everything that has to be right for clients to be served, and says what to do
// where it is not.
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "client/cli/commands.h"
#include "client/cli/daemons.h"
#include "client/cli/doctor/bundle.h"
#include "client/cli/doctor/checks.h"
#include "client/cli/print.h"
#include "client/cli/table.h"
#include "client/cli/terminal.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;

using MachineCheck = void (*)(const Machine&, Report&);
constexpr MachineCheck kMachineChecks[] = {
    CheckClientSettings, CheckDriver,      CheckDeviceNodes, CheckComputeMode, CheckMps, CheckMig,
    CheckWsl2,           CheckDescriptors, CheckMemfd,
};

using DaemonCheck = void (*)(const Patient&, Report&);
constexpr DaemonCheck kDaemonChecks[] = {
    CheckState,        CheckVersions,   CheckEqualPids, CheckDaemonDescriptors,
    CheckDeviceMemory, CheckHostMemory, CheckTrial,
};

const char* Word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kFail:
      break;
  }
  return "FAIL";
}

Tone ToneOf(Verdict verdict) {
  return verdict == Verdict::kOk     ? Tone::kPlain
         : verdict == Verdict::kWarn ? Tone::kNotice
                                     : Tone::kAlarm;
}

void CheckDaemon(const Daemon& daemon, const Machine& machine, const GlobalOptions& options,
                 Report& report) {
  v1::Stats stats;
  try {
    stats = daemon.Stats();
  } catch (const Failure& failure) {
    return report.Fail("daemon", failure.what(), failure.hint());
  }
  const Patient patient{
      .daemon = daemon, .stats = stats, .machine = machine, .timeout = options.timeout};
  for (const DaemonCheck check : kDaemonChecks) check(patient, report);
}

Json ToJson(const Report& report) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings()) {
    findings.push_back({{"verdict", Word(finding.verdict)},
                        {"check", finding.check},
                        {"text", Escaped(finding.text)},
                        {"hint", Escaped(finding.hint)}});
  }
  return findings;
}

std::string ToText(const Report& report, const Terminal& terminal) {
  std::string text;
  for (const Finding& finding : report.findings()) {
    const std::string word = Word(finding.verdict);
    text += Colored(word, ToneOf(finding.verdict), terminal) + std::string(6 - word.size(), ' ') +
            finding.check + " " + Escaped(finding.text) + "\n";
    if (!finding.hint.empty()) text += "      do: " + Escaped(finding.hint) + "\n";
  }
  return text;
}

void Doctor(const GlobalOptions& options, const std::string& root, const std::string& bundle) {
  const Machine machine(root);
  Report report;
  for (const MachineCheck check : kMachineChecks) check(machine, report);
  CheckSocketFolders(report);
  const std::vector<Daemon> daemons = CheckSockets(options, report);
  for (const Daemon& daemon : daemons) CheckDaemon(daemon, machine, options, report);

  const Json findings = ToJson(report);
  if (options.output == Output::kJson) {
    Print(std::vector<Json>{findings});
  } else {
    Print(ToText(report, TerminalFor(options)));
  }
  if (!bundle.empty()) WriteBundle(bundle, findings, daemons, machine);
  size_t failed = 0;
  for (const Finding& finding : report.findings()) failed += finding.verdict == Verdict::kFail;
  if (failed == 0) return;
  throw Failure(ExitCode::kFailed, "unwell",
                std::to_string(failed) + (failed == 1 ? " check failed" : " checks failed"),
                "do what they say, from the first on");
}

}  // namespace

void AddDoctorCommand(CLI::App& app, const GlobalOptions& options) {
  CLI::App* doctor = app.add_subcommand(
      "doctor", "Looks at all that has to be right, and says what to do where it is not");
  auto bundle = std::make_shared<std::string>();
  doctor
      ->add_option("--bundle", *bundle,
                   "Write what a supporter needs into this file (JSON): findings, versions, "
                   "settings, statistics, sessions, slabs, leases, misses, log lines")
      ->option_text("FILE");
  auto root = std::make_shared<std::string>();
  doctor->add_option("--root", *root, "Where the machine's /proc, /dev and /sys are, if not in /")
      ->option_text("FOLDER");
  doctor->callback([&options, bundle, root] { Doctor(options, *root, *bundle); });
}

}  // namespace nvcv_cached::cli
