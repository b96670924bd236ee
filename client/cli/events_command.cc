// events: the daemons' log lines, those that they remember and then each that comes.
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/daemons.h"
#include "client/cli/print.h"
#include "client/cli/table.h"
#include "client/cli/terminal.h"
#include "proto/time_text.h"

namespace nvcv_cached::cli {

namespace {

using Json = nlohmann::ordered_json;

Tone ToneOf(const std::string& level) {
  return level == "error" ? Tone::kAlarm : level == "warn" ? Tone::kNotice : Tone::kPlain;
}

// As in the log; with several daemons each line says whose it is.
std::string ToLine(const v1::LogEvent& event, const std::string& whose, const Terminal& terminal) {
  std::string level;
  for (const char c : event.level()) level += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  std::string line;
  if (event.lost() > 0) {
    line = whose + Colored("lost=" + std::to_string(event.lost()), Tone::kNotice, terminal) +
           " lines that this reader was too slow for\n";
  }
  return line + FormatTime(event.time_unix_ms(), TimeDigits::kMilliseconds) + " " +
         Colored(level, ToneOf(event.level()), terminal) + std::string(6 - level.size(), ' ') +
         whose + Escaped(event.text()) + "\n";
}

// One object a line, so that a reader need not wait for the end.
std::string ToJsonLine(const v1::LogEvent& event, const Daemon& daemon) {
  Json fields = Json::object();
  for (const v1::LogField& field : event.fields()) fields[field.key()] = Escaped(field.value());
  const Json json{{"ts", FormatTime(event.time_unix_ms(), TimeDigits::kMilliseconds)},
                  {"level", event.level()},
                  {"event", event.event()},
                  {"fields", std::move(fields)},
                  {"lost", event.lost()},
                  {"socket", daemon.socket()}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// Prints the lines of all daemons as they come, -n of them at most.
class Printer {
 public:
  Printer(const GlobalOptions& options, bool several)
      : options_(options), terminal_(TerminalFor(options)), several_(several) {}

  void Show(const v1::LogEvent& event, const Daemon& daemon, const std::string& device) {
    std::lock_guard lock(mutex_);
    if (IsFull()) return;
    ++shown_;
    Print(options_.output == Output::kJson
              ? ToJsonLine(event, daemon)
              : ToLine(event, several_ ? device + " " : "", terminal_));
    std::fflush(stdout);
  }

  bool IsDone() {
    std::lock_guard lock(mutex_);
    return IsFull();
  }

 private:
  bool IsFull() const { return options_.rows && shown_ >= *options_.rows; }

  const GlobalOptions& options_;
  const Terminal terminal_;
  const bool several_;
  std::mutex mutex_;
  size_t shown_ = 0;
};

// The daemons that are followed, each on a thread of its own.
class Following {
 public:
  Following(const GlobalOptions& options, bool past_only)
      : daemons_(DaemonsToRead(options)),
        contexts_(daemons_.size()),
        printer_(options, daemons_.size() > 1),
        past_only_(past_only) {}

  // Returns when the last stream has ended; throws how the first one failed.
  void Run() {
    std::vector<std::exception_ptr> failures(daemons_.size());
    std::vector<std::thread> readers;
    for (size_t i = 0; i < daemons_.size(); ++i) {
      readers.emplace_back([&, i] {
        try {
          Follow(daemons_[i], contexts_[i]);
        } catch (...) {
          failures[i] = std::current_exception();
        }
      });
    }
    for (std::thread& reader : readers) reader.join();
    for (const std::exception_ptr& failure : failures) {
      if (failure) std::rethrow_exception(failure);
    }
  }

 private:
  void Follow(const Daemon& daemon, grpc::ClientContext& context) {
    const std::string device = daemon.Stats().device().id();  // it answers
    v1::FollowEventsRequest request;
    request.set_past_only(past_only_);
    const auto reader = daemon.stub().FollowEvents(&context, request);
    v1::LogEvent event;
    while (!printer_.IsDone() && reader->Read(&event)) printer_.Show(event, daemon, device);
    if (printer_.IsDone()) {
      for (grpc::ClientContext& any : contexts_) any.TryCancel();
    }
    const grpc::Status status = reader->Finish();
    if (status.ok() || printer_.IsDone()) return;
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
        status.error_code() == grpc::StatusCode::CANCELLED) {
      throw Failure(ExitCode::kNoDaemon, "no_daemon", daemon.socket() + ": the daemon has left",
                    "its log is where its service manager keeps it");
    }
    throw Failure::Of(status, daemon.socket());
  }

  const std::vector<Daemon> daemons_;
  std::vector<grpc::ClientContext> contexts_;
  Printer printer_;
  const bool past_only_;
};

}  // namespace

void AddEventsCommand(CLI::App& app, const GlobalOptions& options) {
  CLI::App* events = app.add_subcommand(
      "events", "The daemons' log lines: those remembered, then each that comes");
  auto past_only = std::make_shared<bool>(false);
  events->add_flag("--past", *past_only, "Only what is remembered (the last 1024 lines)");
  events->callback([&options, past_only] { Following(options, *past_only).Run(); });
}

}  // namespace nvcv_cached::cli
