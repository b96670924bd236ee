// Which image lies in arrays: NVCV's rules of inference, with its double count of planar channels
// mended.
//
// Each array gives planes: (H, W) one of one channel; (H, W, C) one of C channels; (C, H, W) C of
// one channel; with a leading N, N times as many. Three or four dimensions are channel-last when
// the last one is the number of channels of that plane of the asked format, and without a format
// when it is 4 at most. A pure function.
#pragma once

#include <vector>

#include "foreign.h"
#include "nvcv_cached/format.h"
#include "nvcv_cached/image.h"

namespace nvcv_cached::python {

struct InferredImage {
  Format format;
  std::vector<ImagePlane> planes;
};

// `format` is kNONE to infer it. InvalidArgument: no arrays, dimensions, strides, types or sizes
// that no image, or none of the format, has.
InferredImage InferImage(const std::vector<ForeignBuffer>& buffers, Format format);

}  // namespace nvcv_cached::python
