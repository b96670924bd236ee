#include "nvcv_cached/tensor_layout.h"

#include <algorithm>
#include <string>

#include "nvcv_cached/error.h"

namespace nvcv_cached {

TensorLayout::TensorLayout(std::string_view labels) {
  if (labels.size() > static_cast<std::size_t>(kMaxRank)) {
    throw InvalidArgument("a layout of " + std::to_string(labels.size()) + " labels",
                          "use " + std::to_string(kMaxRank) + " at most");
  }
  if (labels.find('\0') != std::string_view::npos) {
    throw InvalidArgument("a layout with a zero byte as label " + std::to_string(labels.find('\0')),
                          "use letters, such as \"NHWC\"");
  }
  std::copy(labels.begin(), labels.end(), labels_.begin());
}

}  // namespace nvcv_cached
