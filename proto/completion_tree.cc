#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/completion.h"

namespace nvcv_cached {

namespace {

std::vector<std::string> WordsIn(const std::string& text) {
  if (text.find('|') == std::string::npos) return {};
  return absl::StrSplit(text, '|');
}

ValueKind KindOf(const CLI::Option& option, const std::vector<std::string>& words) {
  if (option.get_items_expected_max() == 0) return ValueKind::kNone;
  if (option.get_expected_min() == 0) return ValueKind::kOptional;
  if (!words.empty()) return ValueKind::kWords;
  const std::string& text = option.get_option_text();
  return text == "PATH" || text == "FILE" ? ValueKind::kPath : ValueKind::kOther;
}

std::vector<CompletionFlag> FlagsOf(const CLI::App& app) {
  std::vector<CompletionFlag> flags;
  for (const CLI::Option* option : app.get_options()) {
    CompletionFlag flag;
    flag.help = option->get_description();
    for (const std::string& name : option->get_snames()) flag.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) flag.names.push_back("--" + name);
    if (flag.names.empty()) continue;  // an argument
    flag.words = WordsIn(option->get_option_text());
    flag.gpus = std::erase(flag.words, "DEVICE") > 0;
    flag.value = KindOf(*option, flag.words);
    flags.push_back(std::move(flag));
  }
  return flags;
}

bool IsHelp(const CompletionFlag& flag) { return flag.names.back() == "--help"; }

}  // namespace

CompletionTree ReadCompletionTree(const CLI::App& app) {
  CompletionTree tree;
  tree.program = app.get_name();
  tree.flags = FlagsOf(app);
  for (const CLI::App* found : app.get_subcommands([](const CLI::App*) { return true; })) {
    CompletionCommand command;
    command.name = found->get_name();
    command.help = found->get_description();
    command.flags = FlagsOf(*found);
    std::erase_if(command.flags, IsHelp);  // the program's own is as good
    for (const CLI::Option* option : found->get_options()) {
      if (option->get_positional()) command.words = WordsIn(option->get_option_text());
    }
    tree.commands.push_back(std::move(command));
  }
  return tree;
}

}  // namespace nvcv_cached
