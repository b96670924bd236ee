// The shells' completion of a program, made from the parser that it is for: commands, flags, and
// the values that a text like "table|wide|json" lists. DEVICE among them stands for the machine's
// GPUs, as nvidia-smi lists them when the Tab key is pressed. Plain data; pure functions of the
// parser.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace nvcv_cached {

enum class ValueKind {
  kNone,      // a flag
  kOptional,  // may be left out
  kWords,     // one of `words`, or a GPU
  kPath,      // a file's
  kOther      // anything
};

struct CompletionFlag {
  std::vector<std::string> names;  // "-o", "--output"
  std::string help;
  ValueKind value = ValueKind::kNone;
  std::vector<std::string> words;
  bool gpus = false;  // cuda:N and UUIDs too
};

struct CompletionCommand {
  std::string name, help;
  std::vector<CompletionFlag> flags;
  std::vector<std::string> words;  // that its argument may be
};

struct CompletionTree {
  std::string program;
  std::vector<CompletionFlag> flags;        // before and after every command
  std::vector<CompletionCommand> commands;  // may be none
};

CompletionTree ReadCompletionTree(const CLI::App& app);

// The script for "bash", "zsh" or "fish".
std::string CompletionScript(const CompletionTree& tree, const std::string& shell);

}  // namespace nvcv_cached
