// From what a Python caller writes to the library's values, with NVCV's rules of what converts.
//
// A wrong kind of argument throws nb::next_overload, which becomes nanobind's TypeError that lists
// the arguments; a right kind with a wrong value throws InvalidArgument. Thread-safety: the GIL is
// held.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>

#include "nvcv_cached/cache.h"
#include "nvcv_cached/data_type.h"
#include "nvcv_cached/tensor.h"
#include "nvcv_cached/tensor_layout.h"

namespace nvcv_cached::python {

namespace nb = nanobind;

// A tuple of 1 to 15 integers: what has __index__ or __int__, but no floats.
Shape ShapeOf(nb::handle tuple);

// A Type, or what numpy.dtype takes; not None, bool, structured or of the other byte order.
DataType DataTypeOf(nb::handle dtype);

// A TensorLayout, a str, or None.
TensorLayout LayoutOf(nb::handle layout);

// What has __index__ or __int__, but no floats, in 64 bits.
std::int64_t IntegerOf(nb::handle number);

}  // namespace nvcv_cached::python
