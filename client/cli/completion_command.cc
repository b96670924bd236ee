// completion: the shells' scripts, made from the parser that they complete for.
#include <memory>

#include "client/cli/commands.h"
#include "client/cli/print.h"
#include "proto/completion.h"

namespace nvcv_cached::cli {

void AddCompletionCommand(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* completion =
      app.add_subcommand("completion", "Prints the completion script of bash, zsh or fish");
  completion->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->option_text("bash|zsh|fish")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([&app, shell] { Print(CompletionScript(ReadCompletionTree(app), *shell)); });
}

}  // namespace nvcv_cached::cli
