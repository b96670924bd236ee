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
#include "nvcv_cached/geometry.h"
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

// What has __index__ or __int__, but no floats, in 64 bits, or in those of an int.
std::int64_t IntegerOf(nb::handle number);
int IntOf(nb::handle number);

// The C++ object of an initialised instance; null: it is no T, or was made by __new__ alone.
template <class T>
const T* InstanceOf(nb::handle object) {
  if (!nb::isinstance<T>(object) || !nb::inst_ready(object)) return nullptr;
  return nb::inst_ptr<T>(object);
}

// (width, height): a tuple, list or array of two integers.
struct SizeArgument {
  Size size;
};

}  // namespace nvcv_cached::python

template <>
struct nanobind::detail::type_caster<nvcv_cached::python::SizeArgument> {
  NB_TYPE_CASTER(nvcv_cached::python::SizeArgument, const_name("tuple[int, int]"))
  bool from_python(handle source, uint8_t flags, cleanup_list* cleanup) noexcept;
};
