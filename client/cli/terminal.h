// Where the answer is shown: a terminal or something else, and what it can do. Plain data.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "client/cli/options.h"

namespace nvcv_cached::cli {

// How much a cell wants to be seen; never its only sign.
enum class Tone { kPlain, kNotice, kAlarm };

struct Terminal {
  bool color = false;
  std::optional<size_t> width;  // nullopt: nothing is cut
};

// Of stdout. Colour: on a terminal without NO_COLOR or TERM=dumb; CLICOLOR_FORCE and --color
// overrule.
Terminal TerminalFor(const GlobalOptions& options);

// Yellow and bold magenta: told apart by people who see red and green alike.
std::string Colored(const std::string& text, Tone tone, const Terminal& terminal);
std::string Bold(const std::string& text, const Terminal& terminal);

}  // namespace nvcv_cached::cli
