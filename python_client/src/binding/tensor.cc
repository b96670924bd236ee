// Tensor, and ExternalBuffer: what Tensor.cuda() gives.
#include "nvcv_cached/tensor.h"

#include <nanobind/stl/string.h>

#include <string>

#include "arguments.h"
#include "bindings.h"
#include "data_types.h"
#include "export.h"
#include "nvcv_cached/error.h"
#include "nvcv_cached/stream.h"

namespace nvcv_cached::python {
namespace {

constexpr char kDlpackSignature[] =
    "def __dlpack__(self, *, stream: int | None = None, max_version: tuple[int, int] | None = "
    "None, "
    "dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> object";

struct ExternalBuffer {
  Tensor tensor;
};

nb::tuple ShapeTuple(const Tensor& tensor) {
  Shape shape = tensor.shape();
  nb::object tuple = nb::steal(PyTuple_New(shape.rank()));
  for (int dim = 0; dim < shape.rank(); ++dim) {
    PyTuple_SET_ITEM(tuple.ptr(), dim, PyLong_FromLongLong(shape[dim]));
  }
  return nb::borrow<nb::tuple>(tuple);
}

// In elements, as NVCV gives them.
nb::tuple StridesTuple(const Tensor& tensor) {
  std::int64_t element = tensor.dtype().size_bytes();
  nb::list strides;
  for (int dim = 0; dim < tensor.rank(); ++dim) {
    std::int64_t bytes = tensor.stride_bytes(dim);
    if (bytes % element != 0) {
      throw InvalidArgument("stride " + std::to_string(dim) + " is " + std::to_string(bytes) +
                                " bytes, no whole number of elements of " +
                                std::to_string(element) + " bytes",
                            "look at __array_interface__, which counts components");
    }
    strides.append(bytes / element);
  }
  return nb::tuple(strides);
}

}  // namespace

void BindTensors(nb::module_& module) {
  nb::class_<Tensor>(
      module, "Tensor", nb::type_slots(kTensorBufferSlots), nb::is_weak_referenceable(),
      "A dense array on the device, borrowed from the cache; rows are padded as NVCV pads them.\n\n"
      "Contents are whatever the memory's last user left. On the host device NumPy and DLPack "
      "consumers see the memory without a copy, and what they see keeps it in use.")
      .def(
          "__init__",
          [](Tensor* self, nb::handle shape, nb::handle dtype, nb::handle layout,
             nb::handle rowalign) {
            Shape extents = ShapeOf(shape);
            DataType type = DataTypeOf(dtype);
            TensorLayout labels = LayoutOf(layout);
            std::int64_t align = IntegerOf(rowalign);
            if (align != static_cast<int>(align)) throw nb::next_overload();
            new (self) Tensor(extents, type, labels, static_cast<int>(align));
          },
          nb::arg("shape"), nb::arg("dtype"), nb::arg("layout").none() = nb::none(),
          nb::arg("rowalign") = 0,
          nb::sig(
              "def __init__(self, shape: tuple[int, ...], dtype: Type | numpy.typing.DTypeLike, "
              "layout: TensorLayout | str | None = None, rowalign: int = 0) -> None"),
          "`rowalign`: 0 for the device's own, or a power of two in bytes.")
      .def_prop_ro("shape", ShapeTuple, nb::sig("def shape(self) -> tuple[int, ...]"))
      .def_prop_ro("ndim", &Tensor::rank)
      .def_prop_ro(
          "dtype", [](const Tensor& self) { return nb::borrow(NumpyDtype(self.dtype())); },
          nb::sig("def dtype(self) -> numpy.dtype"))
      .def_prop_ro(
          "layout",
          [](const Tensor& self) -> nb::object {
            TensorLayout layout = self.layout();
            return layout.empty() ? nb::none() : nb::cast(layout);
          },
          nb::sig("def layout(self) -> TensorLayout | None"))
      .def(
          "cuda", [](const Tensor& self) { return ExternalBuffer{self}; },
          "An exporter of the memory, new at each call, that keeps the tensor in use; on the host "
          "device it\n"
          "exports host memory, so that one script runs on both.")
      .def("__dlpack__", ToDlpack, nb::kw_only(), nb::arg("stream").none() = nb::none(),
           nb::arg("max_version").none() = nb::none(), nb::arg("dl_device").none() = nb::none(),
           nb::arg("copy").none() = nb::none(), nb::sig(kDlpackSignature))
      .def("__dlpack_device__", DlpackDevice,
           nb::sig("def __dlpack_device__(self) -> tuple[int, int]"))
      .def_prop_ro("__array_interface__", ArrayInterface,
                   nb::sig("def __array_interface__(self) -> dict[str, object]"))
      .def_prop_ro("__cuda_array_interface__", CudaArrayInterface,
                   nb::sig("def __cuda_array_interface__(self) -> dict[str, object]"))
      .def(
          "record_stream",
          [](const Tensor& self, nb::handle stream) { self.record_stream(StreamOf(stream)); },
          nb::arg("stream"), nb::sig("def record_stream(self, stream: object) -> None"),
          "The memory is used on that stream too: a Stream, a torch, CuPy or Numba stream, or a "
          "handle.")
      .def(
          "__reduce__",
          [](nb::handle) -> nb::object {
            throw nb::type_error("Tensor cannot be copied or pickled");
          },
          nb::sig("def __reduce__(self) -> str | tuple[object, ...]"))
      .def("__repr__", [](const Tensor& self) {
        return "<nvcv.Tensor shape=" + nb::cast<std::string>(nb::repr(ShapeTuple(self))) +
               " dtype=" + nb::cast<std::string>(nb::str(NumpyDtype(self.dtype()))) + ">";
      });

  nb::class_<ExternalBuffer>(module, "ExternalBuffer", nb::dynamic_attr(),
                             nb::is_weak_referenceable(),
                             "A tensor's memory for other libraries; made by Tensor.cuda().")
      .def_prop_ro(
          "shape", [](const ExternalBuffer& self) { return ShapeTuple(self.tensor); },
          nb::sig("def shape(self) -> tuple[int, ...]"))
      .def_prop_ro(
          "strides", [](const ExternalBuffer& self) { return StridesTuple(self.tensor); },
          nb::sig("def strides(self) -> tuple[int, ...]"), "In elements.")
      .def_prop_ro(
          "dtype",
          [](const ExternalBuffer& self) { return nb::borrow(NumpyDtype(self.tensor.dtype())); },
          nb::sig("def dtype(self) -> numpy.dtype"))
      .def(
          "__dlpack__",
          [](const ExternalBuffer& self, nb::handle stream, nb::handle max_version,
             nb::handle device,
             nb::handle copy) { return ToDlpack(self.tensor, stream, max_version, device, copy); },
          nb::kw_only(), nb::arg("stream").none() = nb::none(),
          nb::arg("max_version").none() = nb::none(), nb::arg("dl_device").none() = nb::none(),
          nb::arg("copy").none() = nb::none(), nb::sig(kDlpackSignature))
      .def(
          "__dlpack_device__", [](const ExternalBuffer& self) { return DlpackDevice(self.tensor); },
          nb::sig("def __dlpack_device__(self) -> tuple[int, int]"))
      .def_prop_ro(
          "__array_interface__",
          [](const ExternalBuffer& self) { return ArrayInterface(self.tensor); },
          nb::sig("def __array_interface__(self) -> dict[str, object]"))
      .def_prop_ro(
          "__cuda_array_interface__",
          [](const ExternalBuffer& self) { return CudaArrayInterface(self.tensor); },
          nb::sig("def __cuda_array_interface__(self) -> dict[str, object]"));

  module.def(
      "nbytes_in_cache", [](const Tensor& tensor) { return tensor.cache_bytes(); }, nb::arg(),
      nb::sig("def nbytes_in_cache(tensor: Tensor, /) -> int"),
      "The bytes that count toward the limit: those its memory was granted for.");
}

}  // namespace nvcv_cached::python
