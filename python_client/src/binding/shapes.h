// A tensor's extents, strides and layout as Python sees them. Thread-safety: the GIL is held.
#pragma once

#include <nanobind/nanobind.h>

#include "nvcv_cached/tensor.h"

namespace nvcv_cached::python {

namespace nb = nanobind;

nb::tuple ShapeTuple(const Tensor& tensor);

// In elements, as NVCV gives them. InvalidArgument where a row is no whole number of elements.
nb::tuple StridesTuple(const Tensor& tensor);

nb::object LayoutOrNone(const TensorLayout& layout);  // None for no layout

}  // namespace nvcv_cached::python
