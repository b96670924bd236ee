// limit, policy, quota, config: without an argument they print value and origin, with one they set
// it and say what it did.
#include "client/cli/client_settings.h"
#include "client/cli/commands.h"
#include "client/cli/daemons.h"
#include "client/cli/print.h"
#include "client/cli/setting.h"
#include "client/cli/table.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;

void PrintSetting(const GlobalOptions& options, const std::string& key) {
  std::vector<Json> answers;
  std::string text;
  const std::vector<Daemon> daemons = DaemonsToRead(options);
  for (const Daemon& daemon : daemons) {
    const v1::Stats stats = daemon.Stats();
    const v1::Setting& setting = SettingNamed(stats, key);
    if (setting.key().empty()) continue;  // of another version
    answers.push_back({{"key", key},
                       {"value", SettingValue(setting)},
                       {"origin", setting.origin()},
                       {"socket", daemon.socket()}});
    text += Whose(daemon, daemons) + key + " " + ShownSetting(setting) + " (" + setting.origin() +
            ")\n";
  }
  if (options.output == Output::kJson) return Print(std::move(answers));
  Print(text);
}

// A session's own quota, or the one for every session that applies to it.
void PrintQuotaOf(const GlobalOptions& options, uint64_t session) {
  std::vector<Json> answers;
  std::string text;
  const std::vector<Daemon> daemons = DaemonsToRead(options);
  for (const Daemon& daemon : daemons) {
    const auto reply = daemon.Call(&v1::Admin::Stub::ListSessions, v1::ListSessionsRequest());
    for (const v1::SessionInfo& known : reply.sessions()) {
      if (known.id() != session) continue;
      const uint64_t bytes = known.quota_bytes();
      answers.push_back({{"session", session},
                         {"value", bytes == 0 ? Json("none") : Json(bytes)},
                         {"socket", daemon.socket()}});
      text += Whose(daemon, daemons) + "quota of session " + std::to_string(session) + " " +
              (bytes == 0 ? "none" : FormatSize(bytes)) + "\n";
    }
  }
  if (answers.empty()) {
    throw Failure(ExitCode::kFailed, "not_found", "no session " + std::to_string(session),
                  "nvcv-cachectl sessions");
  }
  if (options.output == Output::kJson) return Print(std::move(answers));
  Print(text);
}

// The daemons' settings, then those of a client here; these also where there is no daemon.
void Config(const GlobalOptions& options) {
  Table table({{"OF", "of"}, {"KEY", "key"}, {"VALUE", "value"}, {"ORIGIN", "origin"}});
  std::optional<Failure> missing;
  try {
    for (const Daemon& daemon : DaemonsToRead(options)) {
      const v1::Stats stats = daemon.Stats();
      for (const v1::Setting& setting : stats.settings()) {
        table.Add({Text(stats.device().id()), Text(setting.key()),
                   Cell{.text = ShownSetting(setting), .value = SettingValue(setting)},
                   Text(setting.origin())},
                  {{"device", stats.device().id()}});
      }
    }
  } catch (const Failure& failure) {
    missing = failure;
  }
  for (const ClientSetting& setting : ClientSettings()) {
    table.Add({Text("client"), Text(setting.key), Text(setting.value), Text(setting.origin)});
  }
  table.Arrange(options);
  if (options.output == Output::kJson) {
    Print(std::vector<Json>{table.ToJson()});
  } else {
    Print(table.ToText(options));
  }
  if (missing) throw Failure(*missing);
}

// "8GiB", or N% of the daemon's device; nullopt: none.
std::optional<uint64_t> SizeFor(const Daemon& daemon, const std::string& what,
                                const std::string& text) {
  std::optional<uint64_t> whole;
  if (!text.empty() && text.back() == '%') whole = daemon.Stats().device().total_bytes();
  const auto parsed = ParseSize(text, whole);
  if (parsed.ok()) return *parsed;
  throw Failure::Of(parsed.status(), what);
}

void SetLimit(const GlobalOptions& options, const std::string& text) {
  std::vector<Json> answers;
  std::string said;
  const std::vector<Daemon> daemons = DaemonsToChange(options);
  for (const Daemon& daemon : daemons) {
    const std::optional<uint64_t> bytes = SizeFor(daemon, "limit", text);
    if (!bytes)
      throw Failure(ExitCode::kUsage, "invalid_argument", "limit none: a limit is a size",
                    "write 0 to cache nothing, or 100%");
    v1::SetLimitRequest request;
    request.set_limit_bytes(*bytes);
    const auto reply = daemon.Call(&v1::Admin::Stub::SetLimit, request);
    answers.push_back({{"old_bytes", reply.old_bytes()},
                       {"new_bytes", reply.new_bytes()},
                       {"evicted_items", reply.evicted_items()},
                       {"evicted_bytes", reply.evicted_bytes()},
                       {"detached_items", reply.detached_items()},
                       {"cache_bytes", reply.cache_bytes()},
                       {"warning", reply.warning()},
                       {"socket", daemon.socket()}});
    said += Whose(daemon, daemons) + "limit " + FormatSize(reply.old_bytes()) + " -> " +
            FormatSize(reply.new_bytes()) + " (runtime); evicted " +
            std::to_string(reply.evicted_items()) + " idle items (" +
            FormatSize(reply.evicted_bytes()) + "), " + std::to_string(reply.detached_items()) +
            " in use left the books; cached " + FormatSize(reply.cache_bytes()) + "\n";
    if (!reply.warning().empty())
      std::fprintf(stderr, "%swarning: %s\n", Whose(daemon, daemons).c_str(),
                   Escaped(reply.warning()).c_str());
  }
  if (options.output == Output::kJson) return Print(std::move(answers));
  Print(said);
}

void SetPolicy(const GlobalOptions& options, const std::string& policy) {
  std::vector<Json> answers;
  std::string said;
  const std::vector<Daemon> daemons = DaemonsToChange(options);
  for (const Daemon& daemon : daemons) {
    v1::SetPolicyRequest request;
    request.set_policy(policy);
    const auto reply = daemon.Call(&v1::Admin::Stub::SetPolicy, request);
    answers.push_back({{"old", reply.old_policy()}, {"new", policy}, {"socket", daemon.socket()}});
    said +=
        Whose(daemon, daemons) + "policy " + reply.old_policy() + " -> " + policy + " (runtime)\n";
  }
  if (options.output == Output::kJson) return Print(std::move(answers));
  Print(said);
}

void SetQuota(const GlobalOptions& options, const std::string& text, uint64_t session) {
  std::vector<Json> answers;
  std::string said;
  const std::vector<Daemon> daemons = DaemonsToChange(options);
  for (const Daemon& daemon : daemons) {
    const std::optional<uint64_t> bytes = SizeFor(daemon, "quota", text);
    v1::SetQuotaRequest request;
    request.set_session(session);
    if (bytes) request.set_quota_bytes(*bytes);
    const auto reply = daemon.Call(&v1::Admin::Stub::SetQuota, request);
    const auto shown = [](bool has, uint64_t value) { return has ? FormatSize(value) : "none"; };
    answers.push_back({{"session", session},
                       {"old_bytes", reply.has_old_bytes() ? Json(reply.old_bytes()) : Json()},
                       {"new_bytes", bytes ? Json(*bytes) : Json()},
                       {"socket", daemon.socket()}});
    said += Whose(daemon, daemons) +
            (session == 0 ? "quota " : "quota of session " + std::to_string(session) + " ") +
            shown(reply.has_old_bytes(), reply.old_bytes()) + " -> " +
            shown(bytes.has_value(), bytes.value_or(0)) + " (runtime)\n";
  }
  if (options.output == Output::kJson) return Print(std::move(answers));
  Print(said);
}

}  // namespace

void AddSettingCommands(CLI::App& app, const GlobalOptions& options) {
  auto value = std::make_shared<std::string>();
  CLI::App* limit =
      app.add_subcommand("limit", "What counts as cached at most; prints it, or sets SIZE");
  limit->add_option("SIZE", *value, "8GiB, 50%, bytes")->option_text(" ");
  limit->callback([&options, value] {
    value->empty() ? PrintSetting(options, "limit") : SetLimit(options, *value);
  });

  auto policy_name = std::make_shared<std::string>();
  CLI::App* policy = app.add_subcommand(
      "policy", "Who goes when the limit is hit; prints it, or sets lru or clear");
  policy->add_option("NAME", *policy_name, "lru or clear")
      ->check(CLI::IsMember({"lru", "clear"}))
      ->option_text("lru|clear");
  policy->callback([&options, policy_name] {
    policy_name->empty() ? PrintSetting(options, "policy") : SetPolicy(options, *policy_name);
  });

  auto quota_text = std::make_shared<std::string>();
  auto session = std::make_shared<uint64_t>(0);
  CLI::App* quota =
      app.add_subcommand("quota", "Leased bytes of one session at most; prints it, or sets SIZE");
  quota->add_option("SIZE", *quota_text, "8GiB, 50%, bytes or none")->option_text(" ");
  quota->add_option("--session", *session, "Of this session instead of every session")
      ->check(CLI::PositiveNumber)
      ->option_text("ID");
  quota->callback([&options, quota_text, session] {
    if (!quota_text->empty()) return SetQuota(options, *quota_text, *session);
    *session == 0 ? PrintSetting(options, "quota") : PrintQuotaOf(options, *session);
  });

  app.add_subcommand("config", "Every setting with its origin: the daemons' and a client's")
      ->callback([&options] { Config(options); });
}

}  // namespace nvcv_cached::cli
