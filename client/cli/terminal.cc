#include "client/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace nvcv_cached::cli {

namespace {

bool IsSet(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' && std::string_view(value) != "0";
}

bool WantsColor(Color asked, bool is_terminal) {
  if (asked != Color::kAuto) return asked == Color::kAlways;
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  if (IsSet("CLICOLOR_FORCE")) return true;
  const char* term = std::getenv("TERM");
  return is_terminal && (term == nullptr || std::string_view(term) != "dumb");
}

}  // namespace

Terminal TerminalFor(const GlobalOptions& options) {
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  Terminal terminal{.color = WantsColor(options.color, is_terminal), .width = std::nullopt};
  winsize size{};
  if (is_terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.width = size.ws_col;
  }
  return terminal;
}

std::string Colored(const std::string& text, Tone tone, const Terminal& terminal) {
  if (!terminal.color || tone == Tone::kPlain) return text;
  return (tone == Tone::kNotice ? "\x1b[33m" : "\x1b[1;35m") + text + "\x1b[0m";
}

std::string Bold(const std::string& text, const Terminal& terminal) {
  return terminal.color ? "\x1b[1m" + text + "\x1b[0m" : text;
}

}  // namespace nvcv_cached::cli
