// clear, trim, drain, undrain: what changes the daemon's memory or its state.
#include "client/cli/commands.h"
#include "client/cli/daemons.h"
#include "client/cli/print.h"
#include "client/cli/table.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;

void Clear(const GlobalOptions& options, uint64_t session) {
  std::vector<Json> answers;
  std::string said;
  const std::vector<Daemon> daemons = DaemonsToChange(options);
  for (const Daemon& daemon : daemons) {
    v1::ClearRequest request;
    request.set_session(session);
    const auto reply = daemon.Call(&v1::Admin::Stub::Clear, request);
    answers.push_back(
        {{"items", reply.items()}, {"bytes", reply.bytes()}, {"socket", daemon.socket()}});
    said += Whose(daemon, daemons) + "cleared " + std::to_string(reply.items()) + " items (" +
            FormatSize(reply.bytes()) + ")\n";
  }
  if (options.output == Output::kJson) return Print(std::move(answers));
  Print(said);
}

void Trim(const GlobalOptions& options, const std::string& text) {
  uint64_t target = 0;
  if (!text.empty()) {
    const auto parsed = ParseSize(text, std::nullopt);
    if (!parsed.ok()) throw Failure::Of(parsed.status(), "trim");
    if (!*parsed) {
      throw Failure(ExitCode::kUsage, "invalid_argument", "trim none", "write a size, or nothing");
    }
    target = **parsed;
  }
  std::vector<Json> answers;
  std::string said;
  const std::vector<Daemon> daemons = DaemonsToChange(options);
  for (const Daemon& daemon : daemons) {
    v1::TrimRequest request;
    request.set_target_bytes(target);
    const auto reply = daemon.Call(&v1::Admin::Stub::Trim, request);
    answers.push_back({{"freed_bytes", reply.freed_bytes()},
                       {"retiring_bytes", reply.retiring_bytes()},
                       {"evicted_items", reply.evicted_items()},
                       {"socket", daemon.socket()}});
    said += Whose(daemon, daemons) + "gave back " + FormatSize(reply.freed_bytes()) + ", " +
            FormatSize(reply.retiring_bytes()) + " more when clients have unmapped it; evicted " +
            std::to_string(reply.evicted_items()) + " idle items\n";
  }
  if (options.output == Output::kJson) return Print(std::move(answers));
  Print(said);
}

// Of drain and undrain: the state that they bring about, and who holds memory then.
template <class Request>
void ChangeState(const GlobalOptions& options, const std::string& state,
                 grpc::Status (v1::Admin::Stub::*method)(grpc::ClientContext*, const Request&,
                                                         v1::DrainReply*)) {
  std::vector<Json> answers;
  std::string said;
  const std::vector<Daemon> daemons = DaemonsToChange(options);
  for (const Daemon& daemon : daemons) {
    const v1::DrainReply reply = daemon.Call(method, Request());
    Json holders = Json::array();
    said += Whose(daemon, daemons) + state + "; " + std::to_string(reply.holders_size()) +
            " sessions hold memory\n";
    for (const v1::SessionInfo& holder : reply.holders()) {
      holders.push_back({{"id", holder.id()},
                         {"pid", holder.pid()},
                         {"name", Escaped(holder.name())},
                         {"in_use_bytes", holder.in_use_bytes()}});
      said += "  " + Escaped(holder.name()) + " pid " + std::to_string(holder.pid()) + " " +
              FormatSize(holder.in_use_bytes()) + "\n";
    }
    answers.push_back(
        {{"state", state}, {"holders", std::move(holders)}, {"socket", daemon.socket()}});
  }
  if (options.output == Output::kJson) return Print(std::move(answers));
  Print(said);
}

}  // namespace

void AddChangeCommands(CLI::App& app, const GlobalOptions& options) {
  CLI::App* clear = app.add_subcommand("clear", "Empties the cache; what is in use stays valid");
  auto session = std::make_shared<uint64_t>(0);
  clear->add_option("--session", *session, "Of one session only")
      ->check(CLI::PositiveNumber)
      ->option_text("ID");
  clear->callback([&options, session] { Clear(options, *session); });

  CLI::App* trim = app.add_subcommand("trim", "Gives empty slabs back to the device");
  auto size = std::make_shared<std::string>();
  trim->add_option("SIZE", *size, "Evict idle objects too, until this much is given back")
      ->option_text(" ");
  trim->callback([&options, size] { Trim(options, *size); });

  app.add_subcommand("drain", "No new sessions; idle memory goes back; shows who still holds what")
      ->callback([&options] { ChangeState(options, "draining", &v1::Admin::Stub::Drain); });
  app.add_subcommand("undrain", "Takes new sessions again")->callback([&options] {
    ChangeState(options, "serving", &v1::Admin::Stub::Undrain);
  });
}

}  // namespace nvcv_cached::cli
