// status, stats, ping, version: how the daemons are.
#include <cmath>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>

#include "client/cli/commands.h"
#include "client/cli/daemons.h"
#include "client/cli/device_index.h"
#include "client/cli/print.h"
#include "client/cli/setting.h"
#include "client/cli/stats_json.h"
#include "client/cli/table.h"
#include "proto/units.h"
#include "proto/version.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;

std::string DeviceName(const v1::Stats& s) {
  return s.device().index() >= 0 ? "cuda:" + std::to_string(s.device().index()) : s.device().id();
}

// "9.40GiB/126GiB"
Cell Of(uint64_t part, uint64_t whole) {
  return {.text = FormatSize(part) + "/" + FormatSize(whole), .value = part};
}

void Status(const GlobalOptions& options) {
  Table table({{"DEVICE", "device"},
               {"NAME", "name"},
               {"STATE", "state"},
               {"UPTIME", "uptime_seconds"},
               {"POOL/CAPACITY", "pool_bytes"},
               {"CACHED/LIMIT", "cache_bytes"},
               {"IN-USE", "in_use_bytes", true},
               {"IDLE", "idle_bytes", true},
               {"SESS", "sessions", true},
               {"HIT%", "hit_percent", true},
               {"POLICY", "policy"},
               {"PID", "pid", true, true},
               {"VERSION", "version", false, true},
               {"SOCKET", "socket", false, true}});
  std::optional<Failure> silent;
  for (const Daemon& daemon : DaemonsToRead(options)) {
    v1::Stats s;
    try {
      s = daemon.Stats();
    } catch (const Failure& failure) {
      silent = failure;  // the others are shown first
      continue;
    }
    const uint64_t hits = Hits(s.totals());
    table.Add({Text(DeviceName(s)), Text(s.device().name()),
               Text(StateName(s.state()), s.state() == v1::SERVING ? Tone::kPlain : Tone::kAlarm),
               Seconds(s.uptime_seconds()), Of(s.pool_bytes(), s.capacity_bytes()),
               Of(s.cache_bytes(), s.limit_bytes()), Bytes(s.in_use_bytes()), Bytes(s.idle_bytes()),
               Number(s.sessions()), Percent(hits, hits + Misses(s.totals())),
               Text(SettingNamed(s, "policy").value()), Number(static_cast<uint64_t>(s.pid())),
               Text(s.daemon_version()), Text(s.socket())},
              {{"capacity_bytes", s.capacity_bytes()}, {"limit_bytes", s.limit_bytes()}});
  }
  table.Arrange(options);
  if (options.output == Output::kJson) {
    Print(std::vector<Json>{table.ToJson()});
  } else {
    Print(table.ToText(options));
  }
  if (silent) throw Failure(*silent);
}

// "pool bytes idle  2.90GiB": every number of the JSON on a line of its own, but those of arrays.
void Flatten(const std::string& prefix, const Json& json, std::string& text) {
  for (const auto& [key, value] : json.items()) {
    const std::string name = prefix.empty() ? key : prefix + " " + key;
    if (value.is_object()) {
      Flatten(name, value, text);
    } else if (!value.is_array()) {  // a histogram's buckets are for programs
      const bool is_bytes = name.find("bytes") != std::string::npos && value.is_number_unsigned();
      const std::string shown = is_bytes            ? FormatSize(value.get<uint64_t>())
                                : value.is_string() ? Escaped(value.get<std::string>())
                                                    : value.dump();
      text += name + std::string(name.size() < 34 ? 34 - name.size() : 1, ' ') + shown + "\n";
    }
  }
}

// What a counter, or each of several under one name, grew by, per second.
Json Rate(const Json& old, const Json& now, double seconds) {
  if (now.is_object()) {
    Json rates = Json::object();
    for (const auto& [key, value] : now.items()) {
      rates[key] = Rate(old.contains(key) ? old[key] : Json(0), value, seconds);
    }
    return rates;
  }
  const double grown = now.get<double>() - old.get<double>();
  return std::round(grown / seconds * 1000) / 1000;
}

Json Rates(const v1::Stats& before, const v1::Stats& after) {
  const double seconds =
      std::max(1e-3, static_cast<double>(after.time_unix_ms() - before.time_unix_ms()) / 1e3);
  const Json old = ToJson(before)["totals"], now = ToJson(after)["totals"];
  Json rates = {{"seconds", seconds}};
  for (const auto& [key, value] : now.items()) {
    rates[key + "_per_second"] = Rate(old[key], value, seconds);
  }
  return rates;
}

// What daemons wrote down when they left; none of them need be there.
std::vector<Json> LastStats(const GlobalOptions& options) {
  std::vector<Json> answers;
  // A socket goes with its daemon, what it leaves behind does not.
  const std::vector<std::string> paths = LastStatsFiles(options);
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    v1::Stats stats;
    if (file && stats.ParseFromIstream(&file)) answers.push_back(ToJson(stats));
  }
  if (!answers.empty()) return answers;
  std::string looked;
  for (const std::string& path : paths) looked += (looked.empty() ? "" : ", ") + path;
  if (looked.empty()) looked = "*.sock.last in " + SocketDirectories();
  const std::string whose = options.device.empty() ? "" : " of " + SoughtAs(options.device) + ",";
  throw Failure(ExitCode::kFailed, "not_found",
                "no daemon" + whose + " has left statistics (looked for " + looked + ")",
                "nvcv-cachectl stats shows those of a daemon that runs");
}

void Stats(const GlobalOptions& options, const std::string& since, bool last) {
  std::vector<Json> answers;
  std::vector<Daemon> daemons;
  if (!last) daemons = DaemonsToRead(options);
  if (last) {
    answers = LastStats(options);
  } else if (since.empty()) {
    for (const Daemon& daemon : daemons) answers.push_back(ToJson(daemon.Stats()));
  } else {
    const auto interval = ParseDuration(since);
    if (!interval.ok() || !*interval) {
      if (!interval.ok()) throw Failure::Of(interval.status(), "--since");
      throw Failure(ExitCode::kUsage, "invalid_argument", "--since never", "write 10s");
    }
    std::vector<v1::Stats> before;
    for (const Daemon& daemon : daemons) before.push_back(daemon.Stats());
    std::this_thread::sleep_for(**interval);
    for (size_t i = 0; i < daemons.size(); ++i)
      answers.push_back(Rates(before[i], daemons[i].Stats()));
  }
  if (options.output == Output::kJson) return Print(std::move(answers));
  for (const Json& answer : answers) {
    std::string text;
    Flatten("", answer, text);
    Print(text);
  }
}

// The exit code is the answer.
void Ping(const GlobalOptions& options) {
  for (const Daemon& daemon : DaemonsToRead(options)) {
    const v1::Stats stats = daemon.Stats();
    if (stats.state() != v1::SERVING) {
      throw Failure(ExitCode::kNotServing, "not_serving",
                    daemon.socket() + ": " + StateName(stats.state()),
                    "nvcv-cachectl undrain, or wait");
    }
  }
}

void Version(const GlobalOptions& options) {
  // The library's code is linked into this program: its version is the same.
  Json json{{"client", kVersion},
            {"library", kVersion},
            {"protocol_oldest", kProtocolMin},
            {"protocol", kProtocolMax},
            {"daemons", Json::array()}};
  try {
    for (const Daemon& daemon : DaemonsToRead(options)) {
      const v1::Stats stats = daemon.Stats();
      json["daemons"].push_back({{"socket", daemon.socket()},
                                 {"version", stats.daemon_version()},
                                 {"protocol", stats.protocol()}});
    }
  } catch (const Failure& failure) {
    // Without a daemon there is one version less to show.
    if (failure.code() != ExitCode::kNoDaemon || !options.address.empty()) throw;
  }
  if (options.output == Output::kJson) return Print(std::vector<Json>{json});
  const std::string speaks = std::string(kVersion) + " (protocol " + std::to_string(kProtocolMin) +
                             "-" + std::to_string(kProtocolMax) + ")\n";
  Print("nvcv-cachectl " + speaks + "libnvcv_cached " + speaks);
  for (const Json& daemon : json["daemons"]) {
    Print("nvcv-cached " + daemon["version"].get<std::string>() + " (protocol " +
          std::to_string(daemon["protocol"].get<int>()) + ") at " +
          daemon["socket"].get<std::string>() + "\n");
  }
}

}  // namespace

void AddStatusCommands(CLI::App& app, const GlobalOptions& options) {
  app.add_subcommand("status", "One line per daemon")->callback([&options] { Status(options); });
  CLI::App* stats = app.add_subcommand("stats", "Every counter");
  auto since = std::make_shared<std::string>();
  stats->add_option("--since", *since, "Wait this long and show rates instead (10s)")
      ->option_text("TIME");
  auto last = std::make_shared<bool>(false);
  stats->add_flag("--last", *last, "Of daemons that have left")->excludes("--since");
  stats->callback([&options, since, last] { Stats(options, *since, *last); });
  app.add_subcommand("ping", "Exit code only: 0 serving, 3 not, 4 no daemon")->callback([&options] {
    Ping(options);
  });
  app.add_subcommand("version", "Of this program, of the library in it, and of the daemons")
      ->callback([&options] { Version(options); });
}

}  // namespace nvcv_cached::cli
