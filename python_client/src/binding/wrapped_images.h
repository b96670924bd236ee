// What as_image and as_images share. Thread-safety: the GIL is held.
#pragma once

#include <nanobind/nanobind.h>

#include "nvcv_cached/image.h"

namespace nvcv_cached::python {

// An image on the memory of an array, or of a list of one for each plane. Errors of ImportBuffer
// and InferImage.
Image WrapImage(nanobind::handle buffer, Format format);

}  // namespace nvcv_cached::python
