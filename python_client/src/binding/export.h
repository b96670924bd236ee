// A tensor on the host device as other libraries see it: DLPack, the buffer protocol,
// __array_interface__.
//
// Vector elements appear as one more dimension, of components: consumers know no vectors, and rows
// of three component elements need not be a whole number of elements apart. Every export owns a
// handle of the tensor, so its block stays in use; what foreign libraries call to let go needs no
// GIL. Thread-safety: the GIL is held, but for deleters.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>

#include "nvcv_cached/tensor.h"

namespace nvcv_cached::python {

namespace nb = nanobind;

// A tensor's memory in components.
struct View {
  explicit View(const Tensor& tensor);
  bool is_contiguous() const;

  void* data;
  int ndim = 0;
  DataType component;
  std::int64_t size = 1;  // components in all
  std::int64_t shape[kMaxRank + 1];
  std::int64_t strides[kMaxRank + 1];  // in bytes
};

// __dlpack__: `max_version` is None or a tuple, `device` None or (type, id), `copy` None or a bool.
// `stream` is taken as it is: the host has none.
nb::object ToDlpack(const Tensor& tensor, nb::handle max_version, nb::handle device,
                    nb::handle copy);

nb::dict ArrayInterface(const Tensor& tensor);

// Slots of a class whose instances are Tensors.
extern PyType_Slot kTensorBufferSlots[];

}  // namespace nvcv_cached::python
