// Memory of other libraries, as NVCV's functions take it: on a GPU __cuda_array_interface__ or
// DLPack, on the host device the buffer protocol, __array_interface__ or DLPack. Nothing is copied.
//
// Thread-safety: the GIL is held; what keeps the memory may be let go of by any thread.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nvcv_cached/data_type.h"
#include "nvcv_cached/tensor.h"

namespace nvcv_cached::python {

namespace nb = nanobind;

struct ForeignBuffer {
  void* data = nullptr;
  DataType type;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // in bytes
  int cuda_device = -1;               // -1: host memory
  nb::object owner;                   // keeps the memory
};

// Where the memory must be and what is done with it.
enum class Use {
  kWrap,  // on the device of this process, writable
  kRead,  // on the host, to be copied from
};

// It has one of the interfaces: an argument of the right kind, whatever lies behind it.
bool LooksLikeBuffer(nb::handle object);

// InvalidArgument says what was found: read-only, of another device, an element type without a
// place here.
ForeignBuffer ImportBuffer(nb::handle object, Use use);

// A wrapper of one element of as_tensors. Errors of ImportBuffer and Tensor::Wrap.
Tensor WrapBuffer(nb::handle buffer, const TensorLayout& layout);

// Keeps a Python object from C++; its end takes the GIL.
std::shared_ptr<const void> Keep(nb::object object);

// "numpy.ndarray", for texts.
std::string TypeName(nb::handle object);

}  // namespace nvcv_cached::python
