// A tensor's contents in memory of their own. Thread-safety: as of the tensor that is read.
#pragma once

#include "nvcv_cached/export.h"
#include "nvcv_cached/tensor.h"

namespace nvcv_cached {

// A new tensor of the same shape, type and layout with rows as the library aligns them; whatever
// the given one's strides are. On a GPU the work is done on the current stream, and waited for.
// Throws what a new tensor throws, and DeviceError with the driver's words.
NVCV_CACHED_API Tensor copy_of(const Tensor& tensor);

}  // namespace nvcv_cached
