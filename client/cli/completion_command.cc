// completion: the shells' scripts, made from the parser that they complete for.
#include <memory>

#include "client/cli/commands.h"
#include "client/cli/completion_tree.h"
#include "client/cli/print.h"

namespace nvcv_cached::cli {

void AddCompletionCommand(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* completion =
      app.add_subcommand("completion", "Prints the completion script of bash, zsh or fish");
  completion->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->option_text("bash|zsh|fish")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([&app, shell] {
    const CompletionTree tree = ReadCompletionTree(app);
    Print(*shell == "bash"  ? BashCompletion(tree)
          : *shell == "zsh" ? ZshCompletion(tree)
                            : FishCompletion(tree));
  });
}

}  // namespace nvcv_cached::cli
