#include "server/config/command_line.h"

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/completion.h"
#include "proto/version.h"
#include "server/config/keys.h"

namespace nvcv_cached::server {
namespace {

constexpr char kFooter[] = R"(
Every KEY is a flag --KEY, a variable NVCV_CACHED_KEY (upper case, _ for -) and a key of the TOML file, where a
section [device."GPU-..."] overrides. Flag > environment > file > default.
Sizes: 8GiB 512MiB, 8GB, 4096 (bytes), 50% of the device, none. Times: 500ms 10s 5m 2h never.

Examples:
  nvcv-cached                                    a daemon of yours for the first GPU, or for memory
  nvcv-cached --limit 8GiB --idle-exit 10m       at most 8 GiB cached; leaves when nobody needs it
  nvcv-cached --system --config /etc/nvcv-cached/nvcv-cached.toml
  nvcv-cached --check-config                     what would be in force, and from where

Signals: TERM and INT drain and leave (a second one at once), HUP reads the settings again, USR1 logs a snapshot.
Exit: 0 asked to stop; 1 failure; 2 bad flag or setting; 3 another daemon is there; 4 no usable device; 5 no right.)";

std::string Explain(const CLI::ParseError& error, int argc, const char* const* argv) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    for (int i = 1; i < argc; ++i) {
      absl::string_view argument = argv[i];
      if (!absl::ConsumePrefix(&argument, "--")) continue;
      const std::string name(argument.substr(0, argument.find('=')));
      if (FindKey(name) == nullptr && name != "system" && name != "check-config" &&
          name != "completion") {
        return absl::StrCat("unknown flag --", name, Suggestion(name));
      }
    }
  }
  return error.what();
}

}  // namespace

absl::StatusOr<std::variant<CommandLine, Information>> ParseCommandLine(int argc,
                                                                        const char* const* argv) {
  CLI::App app("One memory cache for all processes of a device. Runs in the foreground.",
               "nvcv-cached");
  app.get_formatter()->column_width(26);
  app.footer(kFooter);
  CommandLine result;
  std::map<std::string, std::string> values;
  for (const Key& key : Keys()) {
    app.add_option(absl::StrCat("--", key.name), values[key.name],
                   absl::StrCat(key.meaning, " [", key.fallback, "]"))
        ->option_text(key.value)
        ->take_last();
  }
  app.add_flag("--system", result.system,
               "the machine's daemon: sockets in /run/nvcv-cached, settings in /etc");
  app.add_flag("--check-config", result.check_config,
               "print each setting with its origin and exit, 0 or 2");
  std::string shell;
  app.add_option("--completion", shell, "print the completion script of this shell")
      ->option_text("bash|zsh|fish")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  app.set_version_flag("--version", absl::StrCat("nvcv-cached ", kVersion, ", protocol ",
                                                 kProtocolMin, "-", kProtocolMax));
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Information(app.help());
  } catch (const CLI::CallForVersion& version) {
    return Information(absl::StrCat(version.what(), "\n"));
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(Explain(error, argc, argv));
  }
  if (!shell.empty()) return Information(CompletionScript(ReadCompletionTree(app), shell));
  for (const Key& key : Keys()) {
    if (app.count(absl::StrCat("--", key.name)) == 0) continue;
    result.flags[key.name] = {
        .text = values[key.name], .origin = Origin::kFlag, .where = absl::StrCat("--", key.name)};
  }
  return result;
}

}  // namespace nvcv_cached::server
