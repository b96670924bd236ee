#include "client/src/reshape.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "client/src/alignment.h"

namespace nvcv_cached::client {
namespace {

struct Group {
  int64_t extent;
  int64_t stride;  // of its innermost dimension
};

std::vector<Group> Groups(const Shape& shape, const int64_t* strides, int64_t element_bytes) {
  std::vector<Group> groups;
  for (int dim = 0; dim < shape.rank(); ++dim) {
    if (shape[dim] == 1) continue;
    if (!groups.empty() && groups.back().stride == strides[dim] * shape[dim]) {
      groups.back() = {groups.back().extent * shape[dim], strides[dim]};
    } else {
      groups.push_back({shape[dim], strides[dim]});
    }
  }
  if (groups.empty()) groups.push_back({1, element_bytes});
  return groups;
}

// -1: beyond 63 bits.
int64_t Volume(const Shape& shape) {
  int64_t volume = 1;
  for (int64_t extent : shape) {
    if (extent < 0) return -1;
    const auto product = Product(volume, extent);
    if (!product) return -1;
    volume = *product;
  }
  return volume;
}

Footprint Dense(const Shape& shape, int64_t element_bytes) {
  Footprint dense;
  int64_t stride = element_bytes;
  for (int dim = shape.rank() - 1; dim >= 0; --dim) {
    dense.strides[dim] = stride;
    stride *= shape[dim];
  }
  return dense;
}

}  // namespace

absl::StatusOr<Footprint> Reshaped(const Shape& from, const int64_t* strides, int64_t element_bytes,
                                   const Shape& to) {
  const int64_t volume = Volume(from);
  if (Volume(to) != volume) {
    return absl::InvalidArgumentError(
        absl::StrCat("reshape of ", from.str(), " to ", to.str(), ", which has not its ", volume,
                     " elements; do: give extents whose product is ", volume));
  }
  if (volume == 0) return Dense(to, element_bytes);
  Footprint result;
  int begin = 0;
  for (const Group& group : Groups(from, strides, element_bytes)) {
    int end = begin;
    int64_t filled = 1;
    while (filled < group.extent && end < to.rank()) filled *= to[end++];
    if (filled != group.extent) {
      return absl::InvalidArgumentError(
          absl::StrCat("reshape of ", from.str(), " to ", to.str(), ": dimension ", end - 1, " of ",
                       to[end - 1], " would span the padding after each ", group.extent,
                       " elements; do: keep rows apart, or make the tensor with rowalign=1"));
    }
    while (end < to.rank() && to[end] == 1) ++end;
    int64_t stride = group.stride;
    for (int dim = end - 1; dim >= begin; --dim) {
      result.strides[dim] = stride;
      stride *= to[dim];
    }
    begin = end;
  }
  return result;
}

}  // namespace nvcv_cached::client
