#include "client/cli/top_screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "client/cli/failure.h"

// After ours: its macros have the names of everyday words.
#define NCURSES_NOMACROS
#include <curses.h>

namespace nvcv_cached::cli {

namespace {

enum Pair : short { kNoticePair = 1, kAlarmPair = 2 };

int AttributesOf(TopStyle style, bool color) {
  switch (style) {
    case TopStyle::kPlain:
      return A_NORMAL;
    case TopStyle::kBold:
      return A_BOLD;
    case TopStyle::kQuiet:
      return color ? A_DIM : A_NORMAL;
    case TopStyle::kChosen:
      return A_REVERSE;
    case TopStyle::kNotice:
      return color ? COLOR_PAIR(kNoticePair) : A_BOLD;
    case TopStyle::kAlarm:
      return A_BOLD | (color ? COLOR_PAIR(kAlarmPair) : A_NORMAL);
  }
  return A_NORMAL;
}

}  // namespace

struct TopScreen::Curses {
  SCREEN* screen;
  bool color;
};

TopScreen::TopScreen(bool color) {
  SCREEN* screen = ::newterm(nullptr, stdout, stdin);
  if (screen == nullptr) {
    const char* term = std::getenv("TERM");
    throw Failure(ExitCode::kFailed, "no_terminal",
                  std::string("top: the terminal \"") + (term != nullptr ? term : "") +
                      "\" is not known here",
                  "set TERM to what it is, or nvcv-cachectl top -n 1");
  }
  color = color && ::has_colors() && ::start_color() == OK && ::use_default_colors() == OK;
  if (color) {
    ::init_pair(kNoticePair, COLOR_YELLOW, -1);
    ::init_pair(kAlarmPair, COLOR_MAGENTA, -1);
  }
  ::cbreak();
  ::noecho();
  ::curs_set(0);
  ::nodelay(stdscr, TRUE);
  ::keypad(stdscr, TRUE);
  ::set_escdelay(50);
  curses_ = std::make_unique<Curses>(Curses{screen, color});
}

TopScreen::~TopScreen() {
  ::endwin();
  ::delscreen(curses_->screen);
}

TopScreen::Size TopScreen::size() const {
  return {static_cast<size_t>(getmaxy(stdscr)), static_cast<size_t>(getmaxx(stdscr))};
}

void TopScreen::FollowSize() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
    ::resizeterm(size.ws_row, size.ws_col);
  }
  ::wclear(stdscr);
}

void TopScreen::Show(const std::vector<TopLine>& lines) {
  ::werase(stdscr);
  const size_t rows = size().rows;
  for (size_t row = 0; row < lines.size() && row < rows; ++row) {
    ::wmove(stdscr, static_cast<int>(row), 0);
    for (const TopSpan& span : lines[row]) {
      ::wattrset(stdscr, AttributesOf(span.style, curses_->color));
      ::waddnstr(stdscr, span.text.data(), static_cast<int>(span.text.size()));
    }
  }
  ::wattrset(stdscr, A_NORMAL);
  ::wrefresh(stdscr);
}

bool TopScreen::Press(TopState& state) {
  for (int key = ::wgetch(stdscr); key != ERR; key = ::wgetch(stdscr)) {
    constexpr int kEscape = 27;
    if (key == KEY_UP || key == KEY_DOWN) {
      state.Press(key == KEY_UP ? TopKey::kUp : TopKey::kDown);
    } else if (key == kEscape) {
      state.Press(TopKey::kEscape);
    } else if (key > 0 && key < 0x7f && !state.Press(static_cast<char>(key))) {
      return false;
    }
  }
  return true;
}

}  // namespace nvcv_cached::cli
