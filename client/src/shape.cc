#include <algorithm>
#include <string>

#include "nvcv_cached/error.h"
#include "nvcv_cached/tensor.h"

namespace nvcv_cached {

Shape::Shape(const std::int64_t* extents, std::size_t rank) : rank_(static_cast<int>(rank)) {
  if (rank == 0 || rank > static_cast<std::size_t>(kMaxRank)) {
    throw InvalidArgument("a shape of rank " + std::to_string(rank),
                          "give 1 to " + std::to_string(kMaxRank) + " extents");
  }
  std::copy(extents, extents + rank, extents_);
}

std::string Shape::str() const {
  std::string text = "(";
  for (int i = 0; i < rank_; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(extents_[i]);
  }
  return text + (rank_ == 1 ? ",)" : ")");
}

bool operator==(const Shape& a, const Shape& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace nvcv_cached
