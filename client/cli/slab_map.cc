#include "client/cli/slab_map.h"

#include <algorithm>
#include <iterator>

namespace nvcv_cached::cli {

std::string SlabMap(const v1::SlabInfo& slab, size_t cells) {
  constexpr char kLetters[] = {'.', '#', '+', '~', '!'};
  constexpr const char* kStates[] = {"free", "in_use", "idle", "draining", "quarantined"};
  std::string map(cells, '.');
  for (size_t cell = 0; cell < cells; ++cell) {
    const double size = static_cast<double>(slab.size_bytes());
    const double begin = size * static_cast<double>(cell) / static_cast<double>(cells);
    const double end = size * static_cast<double>(cell + 1) / static_cast<double>(cells);
    double filled[std::size(kStates)] = {};
    for (const v1::SlabExtent& extent : slab.extents()) {
      const double from = std::max(begin, static_cast<double>(extent.offset()));
      const double to = std::min(end, static_cast<double>(extent.offset() + extent.size_bytes()));
      const auto state = std::find(std::begin(kStates), std::end(kStates), extent.state());
      if (from < to && state != std::end(kStates)) filled[state - std::begin(kStates)] += to - from;
    }
    map[cell] =
        kLetters[std::max_element(std::begin(filled), std::end(filled)) - std::begin(filled)];
  }
  return map;
}

}  // namespace nvcv_cached::cli
