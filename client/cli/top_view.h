// TopState as lines of styled text, cut to a width and a height, for a terminal or for a file. In a
// UTF-8 locale bars and the sparkline are block characters, elsewhere ASCII. Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/top_state.h"

namespace nvcv_cached::cli {

enum class TopStyle { kPlain, kBold, kQuiet, kChosen, kNotice, kAlarm };

struct TopSpan {
  std::string text;
  TopStyle style = TopStyle::kPlain;
};
using TopLine = std::vector<TopSpan>;

struct TopFrame {
  std::optional<size_t> width, height;  // nullopt: nothing is cut
  bool utf8 = false;
  bool keys = true;  // there is somebody to press them
};

std::vector<TopLine> DrawTop(const TopState& state, const TopFrame& frame, TopTime now);

}  // namespace nvcv_cached::cli
