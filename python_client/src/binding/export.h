// A tensor as other libraries see it: DLPack, and on the host device the buffer protocol and
// __array_interface__, on a GPU __cuda_array_interface__.
//
// On a GPU every export hands the memory out on the thread's current stream; a consumer that names
// its stream gets it handed out there too, and made to wait for what the current one has.
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

// What cuda() gives: the memory for others, which keeps it in use.
struct ExternalBuffer {
  Tensor tensor;
};

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

inline constexpr char kDlpackSignature[] =
    "def __dlpack__(self, *, stream: int | None = None, max_version: tuple[int, int] | None = "
    "None, dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> object";

// __dlpack__: `max_version` is None or a tuple, `device` None or (type, id), `copy` None or a bool;
// `stream` on a GPU as DLPack has it: None or 1, the legacy default stream; 2, the per-thread one;
// a handle; -1, no wait. The host has no streams and takes anything.
nb::object ToDlpack(const Tensor& tensor, nb::handle stream, nb::handle max_version,
                    nb::handle device, nb::handle copy);
nb::tuple DlpackDevice(const Tensor& tensor);

// AttributeError on a GPU, and on the host: the attribute is not there.
nb::dict ArrayInterface(const Tensor& tensor);
nb::dict CudaArrayInterface(const Tensor& tensor);

// Slots of a class whose instances are Tensors.
extern PyType_Slot kTensorBufferSlots[];

}  // namespace nvcv_cached::python
