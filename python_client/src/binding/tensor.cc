// Tensor, reshape and as_tensor.
#include "nvcv_cached/tensor.h"

#include <nanobind/stl/string.h>

#include <string>

#include "arguments.h"
#include "bindings.h"
#include "data_types.h"
#include "export.h"
#include "foreign.h"
#include "nvcv_cached/error.h"
#include "shapes.h"

namespace nvcv_cached::python {
namespace {

// An argument that was left out keeps the layout; None keeps it too, as in NVCV, and "" drops it.
Tensor Reshape(const Tensor& self, nb::handle shape, nb::handle layout) {
  if (layout.is_none()) return self.reshape(ShapeOf(shape));
  return self.reshape(ShapeOf(shape), LayoutOf(layout));
}

Tensor Wrap(const ForeignBuffer& buffer, const TensorLayout& layout) {
  if (buffer.shape.empty()) {
    throw InvalidArgument("a tensor of an array of no dimensions", "give it 1 to 15");
  }
  const Shape shape(buffer.shape.data(), buffer.shape.size());
  return Tensor::Wrap(buffer.data, shape, buffer.type, layout, buffer.strides,
                      {Keep(buffer.owner), buffer.cuda_device});
}

nb::object AsTensor(nb::handle buffer, nb::handle layout) {
  if (InstanceOf<Tensor>(buffer) != nullptr || !LooksLikeBuffer(buffer)) throw nb::next_overload();
  const TensorLayout labels = LayoutOf(layout);
  return nb::cast(Wrap(ImportBuffer(buffer, Use::kWrap), labels));
}

void BindConstructors(nb::class_<Tensor, Container>& tensor) {
  tensor
      .def(
          "__init__",
          [](Tensor* self, const nb::tuple& shape, nb::handle dtype, nb::handle layout,
             nb::handle rowalign) {
            Shape extents = ShapeOf(shape);
            DataType type = DataTypeOf(dtype);
            TensorLayout labels = LayoutOf(layout);
            new (self) Tensor(extents, type, labels, IntOf(rowalign));
          },
          nb::arg("shape"), nb::arg("dtype"), nb::arg("layout").none() = nb::none(),
          nb::arg("rowalign") = 0,
          nb::sig(
              "def __init__(self, shape: tuple[int, ...], dtype: Type | numpy.typing.DTypeLike, "
              "layout: TensorLayout | str | None = None, rowalign: int = 0) -> None"),
          "`shape` in elements, outermost dimension first. `rowalign`: 0 for the device's own, or "
          "a "
          "power of two in bytes.\n\n"
          "InvalidArgument for a shape, type, layout or alignment that cannot be; OutOfMemory, "
          "QuotaExceeded, Unavailable, DeadlineExceeded, PermissionDenied, VersionMismatch or "
          "Forked "
          "when the daemon has to be asked and gives nothing.")
      .def(
          "__init__",
          [](Tensor* self, nb::handle nimages, const SizeArgument& imgsize, Format format,
             nb::handle rowalign) {
            new (self) Tensor(IntOf(nimages), imgsize.size, format, IntOf(rowalign));
          },
          nb::arg("nimages"), nb::arg("imgsize"), nb::arg("format"), nb::arg("rowalign") = 0,
          nb::sig("def __init__(self, nimages: int, imgsize: tuple[int, int], format: Format, "
                  "rowalign: int = 0) -> None"),
          "Images of one size, (width, height) in pixels: NHWC for a packed format, NCHW for a "
          "planar "
          "one; InvalidArgument for others. Errors as above.")
      .def_static(
          "zeros",
          [](nb::handle shape, nb::handle dtype, nb::handle layout, nb::handle rowalign) {
            return Tensor::Zeros(ShapeOf(shape), DataTypeOf(dtype), LayoutOf(layout),
                                 IntOf(rowalign));
          },
          nb::arg("shape"), nb::arg("dtype"), nb::arg("layout").none() = nb::none(),
          nb::arg("rowalign") = 0,
          nb::sig("def zeros(shape: tuple[int, ...], dtype: Type | numpy.typing.DTypeLike, "
                  "layout: TensorLayout | str | None = None, rowalign: int = 0) -> Tensor"),
          "With all bytes 0, the padding too.");
}

void BindProperties(nb::class_<Tensor, Container>& tensor) {
  tensor
      .def_prop_ro("shape", ShapeTuple, nb::sig("def shape(self) -> tuple[int, ...]"),
                   "In elements, outermost dimension first.")
      .def_prop_ro("ndim", &Tensor::rank, "Number of dimensions, 1 to 15.")
      .def_prop_ro(
          "dtype", [](const Tensor& self) { return nb::borrow(NumpyDtype(self.dtype())); },
          nb::sig("def dtype(self) -> numpy.dtype"), "Of one element.")
      .def_prop_ro(
          "layout", [](const Tensor& self) { return LayoutOrNone(self.layout()); },
          nb::sig("def layout(self) -> TensorLayout | None"), "None for a tensor without one.")
      .def("__repr__", [](const Tensor& self) {
        return "<nvcv.Tensor shape=" + nb::cast<std::string>(nb::repr(ShapeTuple(self))) +
               " dtype=" + nb::cast<std::string>(nb::str(NumpyDtype(self.dtype()))) + ">";
      });
}

void BindExports(nb::class_<Tensor, Container>& tensor) {
  tensor
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
                   nb::sig("def __cuda_array_interface__(self) -> dict[str, object]"));
}

}  // namespace

nb::tuple ShapeTuple(const Tensor& tensor) {
  Shape shape = tensor.shape();
  nb::object tuple = nb::steal(PyTuple_New(shape.rank()));
  for (int dim = 0; dim < shape.rank(); ++dim) {
    PyTuple_SET_ITEM(tuple.ptr(), dim, PyLong_FromLongLong(shape[dim]));
  }
  return nb::borrow<nb::tuple>(tuple);
}

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

nb::object LayoutOrNone(const TensorLayout& layout) {
  return layout.empty() ? nb::none() : nb::cast(layout);
}

Tensor WrapBuffer(nb::handle buffer, const TensorLayout& layout) {
  if (InstanceOf<Tensor>(buffer) != nullptr) {
    throw InvalidArgument("a Tensor where the memory of another library was asked for",
                          "use the tensor itself, or reshape it");
  }
  return Wrap(ImportBuffer(buffer, Use::kWrap), layout);
}

void BindTensors(nb::module_& module) {
  nb::class_<Tensor, Container> tensor(
      module, "Tensor", nb::type_slots(kTensorBufferSlots), nb::is_weak_referenceable(),
      "A dense array on the device, borrowed from the cache; rows are padded as NVCV pads them.\n\n"
      "Contents are whatever the memory's last user left. On the host device NumPy and DLPack "
      "consumers see the memory without a copy, and what they see keeps it in use.");
  BindConstructors(tensor);
  BindProperties(tensor);
  BindExports(tensor);
  tensor.def(
      "reshape", &Reshape, nb::arg("shape"), nb::arg("layout").none() = nb::none(),
      nb::sig("def reshape(self, shape: tuple[int, ...], layout: TensorLayout | str | None = "
              "None) -> Tensor"),
      "The same memory in another shape, which keeps this tensor in use. `layout`: None "
      "keeps it, '' drops it. InvalidArgument for another volume, a layout of another rank, or a "
      "dimension that would span padding.");
  module.def(
      "reshape", &Reshape, nb::arg("tensor"), nb::arg("shape"),
      nb::arg("layout").none() = nb::none(),
      nb::sig("def reshape(tensor: Tensor, shape: tuple[int, ...], layout: TensorLayout | str | "
              "None = None) -> Tensor"),
      "tensor.reshape(shape, layout)");
  module.def(
      "as_tensor", &AsTensor, nb::arg("buffer"), nb::arg("layout").none() = nb::none(),
      nb::sig("def as_tensor(buffer: object, layout: TensorLayout | str | None = None) -> Tensor"),
      "A tensor on another library's memory, which it keeps: an array of NumPy (on the host "
      "device), torch or CuPy, or what cuda() gives. Counts 0 bytes.\n\n"
      "InvalidArgument says what was found where the array is read-only, not dense enough, of an "
      "unsupported type, or on another kind of device.");
}

}  // namespace nvcv_cached::python
