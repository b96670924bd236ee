// nvcv.Type and its other face, numpy.dtype.
//
// Vector types are sub-array dtypes: _2U8 is dtype(('u1', (2,))). NumPy is imported at the first
// use. Thread-safety: the GIL is held.
#pragma once

#include <nanobind/nanobind.h>

#include <optional>
#include <string>
#include <string_view>

#include "nvcv_cached/data_type.h"

namespace nvcv_cached::python {

namespace nb = nanobind;

// The dtype of a supported type: the same object each time; borrowed.
nb::handle NumpyDtype(DataType type);

// What numpy.dtype(object) describes, if one of the supported types does too. Constant objects
// (scalar types, dtypes, strings) are remembered by address.
std::optional<DataType> FromNumpy(nb::handle object);

// A NumPy scalar that int() would cut: floating or complex.
bool IsFloatingScalar(PyObject* object);

// The format letters of PEP 3118 and of numpy's typestr for one component.
std::string BufferFormat(DataType type);  // "B", "e", "Zf"
std::string Typestr(DataType type);       // "|u1", "<f2", "<c8"

// Of a PEP 3118 format of one scalar in the machine's byte order.
std::optional<DataType> FromBufferFormat(std::string_view format);

}  // namespace nvcv_cached::python
