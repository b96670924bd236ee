// The scripts: one function each for bash, zsh and fish. Quoting is what differs most between them.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "proto/completion.h"

namespace nvcv_cached {

namespace {

bool TakesNextWord(const CompletionFlag& flag) {
  return flag.value != ValueKind::kNone && flag.value != ValueKind::kOptional;
}

std::vector<std::string> NamesOf(const std::vector<CompletionFlag>& flags) {
  std::vector<std::string> names;
  for (const CompletionFlag& flag : flags) {
    names.insert(names.end(), flag.names.begin(), flag.names.end());
  }
  return names;
}

std::vector<std::string> NamesOf(const std::vector<CompletionCommand>& commands) {
  std::vector<std::string> names;
  for (const CompletionCommand& command : commands) names.push_back(command.name);
  return names;
}

// Prints cuda:N and the UUID of each, on lines; where there is no driver, nvidia-smi is missing or
// says other things. Good in all three shells.
constexpr char kListGpus[] =
    R"(nvidia-smi --query-gpu=index,uuid --format=csv,noheader 2>/dev/null | )"
    R"(sed -n 's/^\([0-9][0-9]*\), \(GPU-.*\)$/cuda:\1\n\2/p')";

std::string FunctionName(const CompletionTree& tree) {
  return "_" + absl::StrReplaceAll(tree.program, {{"-", "_"}});
}

std::string Header(const CompletionTree& tree, const std::string& shell) {
  return absl::StrCat("# ", shell, " completion of ", tree.program, ", made by that program.\n");
}

// ---- bash: `case command:word before`, the first that matches

void AddBashValues(std::string& script, const std::string& command,
                   const std::vector<CompletionFlag>& flags) {
  for (const CompletionFlag& flag : flags) {
    if (!TakesNextWord(flag)) continue;
    const std::string pattern =
        absl::StrCat(command, ":", absl::StrJoin(flag.names, "|" + command + ":"));
    if (flag.value == ValueKind::kPath) {
      absl::StrAppend(&script, "    ", pattern, ") compopt -o default; return ;;\n");
    } else if (flag.gpus) {
      absl::StrAppend(&script, "    ", pattern, ") words=\"", absl::StrJoin(flag.words, " "), " $(",
                      kListGpus, ")\" ;;\n");
    } else {
      absl::StrAppend(&script, "    ", pattern, ") words='", absl::StrJoin(flag.words, " "),
                      "' ;;\n");
    }
  }
}

// ---- zsh: the specs of _arguments

std::string ZshQuoted(const std::string& text) {
  return absl::StrReplaceAll(
      text, {{"'", "'\\''"}, {"\\", "\\\\"}, {"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
}

std::string ZshSpec(const CompletionFlag& flag) {
  std::string spec;
  for (const std::string& name : flag.names) {
    if (!spec.empty()) absl::StrAppend(&spec, " ");
    absl::StrAppend(&spec, "'(", absl::StrJoin(flag.names, " "), ")", name);
    if (TakesNextWord(flag)) absl::StrAppend(&spec, name.substr(0, 2) == "--" ? "=" : "+");
    absl::StrAppend(&spec, "[", ZshQuoted(flag.help), "]");
    if (flag.value == ValueKind::kOptional) absl::StrAppend(&spec, "::value: ");
    if (flag.gpus) {
      absl::StrAppend(&spec, ":device:{compadd - ", absl::StrJoin(flag.words, " "),
                      " $(_nvcv_gpus)}");
    } else if (flag.value == ValueKind::kWords) {
      absl::StrAppend(&spec, ":value:(", absl::StrJoin(flag.words, " "), ")");
    }
    if (flag.value == ValueKind::kPath) absl::StrAppend(&spec, ":file:_files");
    if (flag.value == ValueKind::kOther) absl::StrAppend(&spec, ":value: ");
    absl::StrAppend(&spec, "'");
  }
  return spec;
}

std::string ZshSpecs(const std::vector<CompletionFlag>& flags) {
  std::string specs;
  for (const CompletionFlag& flag : flags) absl::StrAppend(&specs, "    ", ZshSpec(flag), "\n");
  return specs;
}

// ---- fish: one `complete` for each flag

std::string FishQuoted(const std::string& text) {
  return absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}});
}

void AddFishFlags(std::string& script, const std::string& complete,
                  const std::vector<CompletionFlag>& flags) {
  for (const CompletionFlag& flag : flags) {
    absl::StrAppend(&script, complete);
    for (const std::string& name : flag.names) {
      const bool is_long = name.substr(0, 2) == "--";
      absl::StrAppend(&script, is_long ? " -l " : " -s ", name.substr(is_long ? 2 : 1));
    }
    if (flag.value == ValueKind::kPath) absl::StrAppend(&script, " -r -F");
    if (flag.value == ValueKind::kOther) absl::StrAppend(&script, " -x");
    if (flag.value == ValueKind::kWords) {
      absl::StrAppend(&script, " -x -a '", absl::StrJoin(flag.words, " "),
                      flag.gpus ? " (__nvcv_gpus)'" : "'");
    }
    absl::StrAppend(&script, " -d '", FishQuoted(flag.help), "'\n");
  }
}

std::string BashCompletion(const CompletionTree& tree) {
  const std::string commands = absl::StrJoin(NamesOf(tree.commands), " ");
  std::vector<std::string> with_value;
  for (const CompletionFlag& flag : tree.flags) {
    if (TakesNextWord(flag)) {
      with_value.insert(with_value.end(), flag.names.begin(), flag.names.end());
    }
  }
  std::string script = absl::StrCat(Header(tree, "bash"), FunctionName(tree), R"(() {
  local -a typed=()
  local piece last='' command='' words='' i
  for piece in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do  # cuda:0 comes in three
    if [[ $piece == : || $last == : ]]; then typed[-1]+=$piece; else typed+=("$piece"); fi
    last=$piece
  done
  local at=$((${#typed[@]} - 1))
  local word=${typed[at]} before=${typed[at - 1]}
  if [[ $word == = ]]; then word=''; fi
  if [[ $before == = ]]; then before=${typed[at - 2]}; fi
)");
  if (!tree.commands.empty()) {
    absl::StrAppend(&script, R"(  for ((i = 1; i < at; i++)); do
    case ${typed[i]} in
    )",
                    absl::StrJoin(with_value, "|"), R"() ((i++)) ;;
    )",
                    absl::StrJoin(NamesOf(tree.commands), "|"),
                    R"() command=${typed[i]}; break ;;
    esac
  done
)");
  }
  absl::StrAppend(&script, R"(  COMPREPLY=()
  case $command:$before in
)");
  for (const CompletionCommand& command : tree.commands) {
    AddBashValues(script, command.name, command.flags);  // before the program's: -o may differ
  }
  AddBashValues(script, "*", tree.flags);
  absl::StrAppend(&script, "    *)\n      case $command:$word in\n");
  const std::string global = absl::StrJoin(NamesOf(tree.flags), " ");
  for (const CompletionCommand& command : tree.commands) {
    if (command.flags.empty()) continue;
    absl::StrAppend(&script, "      ", command.name, ":-*) words='", global, " ",
                    absl::StrJoin(NamesOf(command.flags), " "), "' ;;\n");
  }
  absl::StrAppend(&script, "      *:-*) words='", global, "' ;;\n");
  for (const CompletionCommand& command : tree.commands) {
    if (command.words.empty()) continue;
    absl::StrAppend(&script, "      ", command.name, ":*) words='",
                    absl::StrJoin(command.words, " "), "' ;;\n");
  }
  absl::StrAppend(&script, "      :*) words='", commands, R"(' ;;
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then  # only what follows the colon is replaced
    COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*:}"}"}")
  fi
}
complete -F )",
                  FunctionName(tree), " ", tree.program, "\n");
  return script;
}

std::string ZshCompletion(const CompletionTree& tree) {
  std::string script =
      absl::StrCat("#compdef ", tree.program, "\n", Header(tree, "zsh"), "_nvcv_gpus() {\n  ",
                   kListGpus, "\n}\n", FunctionName(tree), R"(() {
  local context state state_descr line
  typeset -A opt_args
  local -a everywhere commands
  everywhere=(
)",
                   ZshSpecs(tree.flags), "  )\n");
  if (tree.commands.empty()) {
    absl::StrAppend(&script, "  _arguments $everywhere\n}\n", FunctionName(tree), " \"$@\"\n");
    return script;
  }
  absl::StrAppend(&script, "  commands=(\n");
  for (const CompletionCommand& command : tree.commands) {
    absl::StrAppend(&script, "    '", command.name, ":", ZshQuoted(command.help), "'\n");
  }
  absl::StrAppend(&script, R"(  )
  _arguments -C $everywhere '1: :->command' '*:: :->argument'
  case $state in
  command) _describe -t commands command commands ;;
  argument)
    case $line[1] in
)");
  for (const CompletionCommand& command : tree.commands) {
    if (command.flags.empty() && command.words.empty()) continue;
    absl::StrAppend(&script, "    ", command.name, ") _arguments $everywhere");
    for (const CompletionFlag& flag : command.flags) {
      absl::StrAppend(&script, " \\\n      ", ZshSpec(flag));
    }
    if (!command.words.empty()) {
      absl::StrAppend(&script, " \\\n      '1:value:(", absl::StrJoin(command.words, " "), ")'");
    }
    absl::StrAppend(&script, " ;;\n");
  }
  absl::StrAppend(&script, R"(    *) _arguments $everywhere ;;
    esac ;;
  esac
}
)",
                  FunctionName(tree), " \"$@\"\n");
  return script;
}

std::string FishCompletion(const CompletionTree& tree) {
  const std::string complete = "complete -c " + tree.program;
  std::string script = absl::StrCat(Header(tree, "fish"),
                                    "function __nvcv_gpus\n  command -q nvidia-smi; or return\n  ",
                                    kListGpus, "\nend\n", complete, " -f\n");
  AddFishFlags(script, complete, tree.flags);
  // (fish's own __fish_use_subcommand takes a flag's value for a command)
  const std::string no_command =
      "not __fish_seen_subcommand_from " + absl::StrJoin(NamesOf(tree.commands), " ");
  for (const CompletionCommand& command : tree.commands) {
    absl::StrAppend(&script, complete, " -n '", no_command, "' -a ", command.name, " -d '",
                    FishQuoted(command.help), "'\n");
    const std::string within =
        absl::StrCat(complete, " -n '__fish_seen_subcommand_from ", command.name, "'");
    AddFishFlags(script, within, command.flags);
    if (!command.words.empty()) {
      absl::StrAppend(&script, within, " -a '", absl::StrJoin(command.words, " "), "'\n");
    }
  }
  return script;
}

}  // namespace

std::string CompletionScript(const CompletionTree& tree, const std::string& shell) {
  return shell == "bash"  ? BashCompletion(tree)
         : shell == "zsh" ? ZshCompletion(tree)
                          : FishCompletion(tree);
}

}  // namespace nvcv_cached
