// Strides of a tensor's memory seen in another shape, by NVCV's rule. A pure function.
//
// Dimensions of the source that follow each other without a gap form a group; the target's
// dimensions fill the groups from left to right, extents of 1 after a full group belong to it. A
// target dimension cannot span two groups: there is padding between them.
// tests/client/reshape_test.cc has NVCV's examples.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "client/src/strides.h"
#include "nvcv_cached/tensor.h"

namespace nvcv_cached::client {

// `strides` in bytes, of `from`. INVALID_ARGUMENT: another volume, or a dimension that would span
// padding.
absl::StatusOr<Footprint> Reshaped(const Shape& from, const int64_t* strides, int64_t element_bytes,
                                   const Shape& to);

}  // namespace nvcv_cached::client
