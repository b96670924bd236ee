// What a shell can complete, read off the parser itself: commands, flags, and the values that a
// text like "table|wide|json" lists. Plain data; pure functions of the parser.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace nvcv_cached::cli {

enum class ValueKind {
  kNone,      // a flag
  kOptional,  // may be left out
  kWords,     // one of `words`
  kPath,      // a file's
  kOther      // anything
};

struct CompletionFlag {
  std::vector<std::string> names;  // "-o", "--output"
  std::string help;
  ValueKind value = ValueKind::kNone;
  std::vector<std::string> words;
};

struct CompletionCommand {
  std::string name, help;
  std::vector<CompletionFlag> flags;
  std::vector<std::string> words;  // that its argument may be
};

struct CompletionTree {
  std::string program;
  std::vector<CompletionFlag> flags;  // before and after every command
  std::vector<CompletionCommand> commands;
};

CompletionTree ReadCompletionTree(const CLI::App& app);

std::string BashCompletion(const CompletionTree& tree);
std::string ZshCompletion(const CompletionTree& tree);
std::string FishCompletion(const CompletionTree& tree);

}  // namespace nvcv_cached::cli
