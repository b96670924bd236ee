#include "arguments.h"

#include <nanobind/stl/string.h>

#include <optional>
#include <string>
#include <string_view>

#include "data_types.h"
#include "nvcv_cached/error.h"

namespace nvcv_cached::python {
namespace {

[[noreturn]] void NotAnInteger(nb::handle element, std::size_t dim) {
  throw InvalidArgument("extent " + std::to_string(dim) + " of the shape is " +
                            nb::cast<std::string>(nb::repr(element)) + ", not a 64-bit integer",
                        "give integers");
}

// False: not an integer, or out of range. No Python error is left set.
bool ToInt64(PyObject* object, std::int64_t* value) {
  if (PyLong_CheckExact(object)) {
    int overflow = 0;
    *value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow == 0;
  }
  if (PyFloat_Check(object)) return false;
  PyObject* number = nullptr;
  if (PyIndex_Check(object)) {
    number = PyNumber_Index(object);
  } else if (const PyNumberMethods* methods = Py_TYPE(object)->tp_as_number;
             methods != nullptr && methods->nb_int != nullptr && !IsFloatingScalar(object)) {
    number = PyNumber_Long(object);
  }
  if (number == nullptr) {
    PyErr_Clear();
    return false;
  }
  int overflow = 0;
  *value = PyLong_AsLongLongAndOverflow(number, &overflow);
  Py_DECREF(number);
  return overflow == 0;
}

}  // namespace

Shape ShapeOf(nb::handle tuple) {
  PyObject* object = tuple.ptr();
  if (!PyTuple_Check(object)) throw nb::next_overload();
  std::int64_t extents[kMaxRank];
  std::size_t rank = static_cast<std::size_t>(PyTuple_GET_SIZE(object));
  for (std::size_t dim = 0; dim < rank && dim < kMaxRank; ++dim) {
    PyObject* element = PyTuple_GET_ITEM(object, static_cast<Py_ssize_t>(dim));
    if (!ToInt64(element, &extents[dim])) NotAnInteger(element, dim);
  }
  return Shape(extents, rank);  // refuses a rank above kMaxRank before it reads the extents
}

DataType DataTypeOf(nb::handle dtype) {
  if (std::optional<DataType> type = FromNumpy(dtype); type.has_value() && type->components() > 0)
    return *type;
  throw nb::next_overload();
}

TensorLayout LayoutOf(nb::handle layout) {
  PyObject* object = layout.ptr();
  if (object == Py_None) return {};
  if (PyUnicode_Check(object)) {
    Py_ssize_t length = 0;
    const char* text = PyUnicode_AsUTF8AndSize(object, &length);
    if (text == nullptr) throw nb::python_error();
    return TensorLayout(std::string_view(text, static_cast<std::size_t>(length)));
  }
  if (const auto* labels = InstanceOf<TensorLayout>(layout)) return *labels;
  throw nb::next_overload();
}

std::int64_t IntegerOf(nb::handle number) {
  std::int64_t value = 0;
  if (!ToInt64(number.ptr(), &value)) throw nb::next_overload();
  return value;
}

int IntOf(nb::handle number) {
  const std::int64_t value = IntegerOf(number);
  if (value != static_cast<int>(value)) throw nb::next_overload();
  return static_cast<int>(value);
}

}  // namespace nvcv_cached::python

bool nanobind::detail::type_caster<nvcv_cached::python::SizeArgument>::from_python(
    handle source, uint8_t, cleanup_list*) noexcept {
  // Buffers of a planar image come in sequences too, and their elements are no integers.
  int sides[2];
  if (PySequence_Check(source.ptr()) == 0 || PySequence_Size(source.ptr()) != 2) {
    PyErr_Clear();
    return false;
  }
  for (Py_ssize_t i = 0; i < 2; ++i) {
    PyObject* const side = PySequence_GetItem(source.ptr(), i);
    std::int64_t number = 0;
    const bool is_integer = side != nullptr && nvcv_cached::python::ToInt64(side, &number);
    Py_XDECREF(side);
    PyErr_Clear();
    if (!is_integer || number != static_cast<int>(number)) return false;
    sides[i] = static_cast<int>(number);
  }
  value.size = {sides[0], sides[1]};
  return true;
}
