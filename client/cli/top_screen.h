// The terminal, as long as `top` has it: draws lines, reads keys, and gives the terminal back as it
// was in the destructor. One at a time; not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "client/cli/top_view.h"

namespace nvcv_cached::cli {

class TopScreen {
 public:
  struct Size {
    size_t rows, columns;
  };

  // Throws Failure when the terminal cannot place its cursor.
  explicit TopScreen(bool color);
  ~TopScreen();
  TopScreen(const TopScreen&) = delete;
  TopScreen& operator=(const TopScreen&) = delete;

  Size size() const;
  void FollowSize();  // the window has another one now
  void Show(const std::vector<TopLine>& lines);

  // The keys pressed since the last call, in order. False: the user wants to leave.
  bool Press(TopState& state);

 private:
  struct Curses;
  std::unique_ptr<Curses> curses_;
};

}  // namespace nvcv_cached::cli
