// Resource and Container, the bases of what holds memory, and ExternalBuffer: what cuda() gives.
#include "nvcv_cached/resource.h"

#include "bindings.h"
#include "data_types.h"
#include "export.h"
#include "nvcv_cached/stream.h"
#include "shapes.h"

namespace nvcv_cached::python {
namespace {

nb::object NotCopied(nb::handle self) {
  const nb::object name = self.type().attr("__name__");
  const std::string text = nb::cast<std::string>(name) + " cannot be copied or pickled";
  throw nb::type_error(text.c_str());
}

void BindExternalBuffer(nb::module_& module) {
  nb::class_<ExternalBuffer>(module, "ExternalBuffer", nb::dynamic_attr(),
                             nb::is_weak_referenceable(),
                             "Memory for other libraries, which keeps it in use; made by cuda().")
      .def_prop_ro(
          "shape", [](const ExternalBuffer& self) { return ShapeTuple(self.tensor); },
          nb::sig("def shape(self) -> tuple[int, ...]"), "In elements.")
      .def_prop_ro(
          "strides", [](const ExternalBuffer& self) { return StridesTuple(self.tensor); },
          nb::sig("def strides(self) -> tuple[int, ...]"), "In elements.")
      .def_prop_ro(
          "dtype",
          [](const ExternalBuffer& self) { return nb::borrow(NumpyDtype(self.tensor.dtype())); },
          nb::sig("def dtype(self) -> numpy.dtype"), "Of one element.")
      .def(
          "__dlpack__",
          [](const ExternalBuffer& self, nb::handle stream, nb::handle max_version,
             nb::handle device,
             nb::handle copy) { return ToDlpack(self.tensor, stream, max_version, device, copy); },
          nb::arg("stream").none() = nb::none(), nb::arg("max_version").none() = nb::none(),
          nb::kw_only(), nb::arg("dl_device").none() = nb::none(),
          nb::arg("copy").none() = nb::none(),
          nb::sig("def __dlpack__(self, stream: int | None = None, max_version: tuple[int, int] | "
                  "None = None, *, dl_device: tuple[int, int] | None = None, copy: bool | None = "
                  "None) -> object"))
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
}

}  // namespace

void BindResources(nb::module_& module) {
  nb::class_<Resource>(module, "Resource", nb::is_weak_referenceable(),
                       "What the cache holds: memory and what lies in it.")
      .def_prop_ro("id", &Resource::id,
                   "Unique in this process; an object that is reused for the same spec keeps it.")
      .def(
          "record_stream",
          [](const Resource& self, nb::handle stream) { self.record_stream(StreamOf(stream)); },
          nb::arg("stream"), nb::sig("def record_stream(self, stream: object) -> None"),
          "The memory is used on that stream too: a Stream, a torch, CuPy or Numba stream, or a "
          "handle.")
      .def(
          "submitStreamSync",
          [](const Resource& self, nb::handle stream) {
            self.submit_stream_sync(CheckedStream(stream));
          },
          nb::arg("stream"), nb::sig("def submitStreamSync(self, stream: Stream) -> None"),
          "The same, and what the stream is given from here on runs after what the streams that "
          "the "
          "memory was used on before have now. Takes a Stream alone.")
      .def("__reduce__", &NotCopied, nb::sig("def __reduce__(self) -> str | tuple[object, ...]"));
  nb::class_<Container, Resource>(module, "Container", nb::is_weak_referenceable(),
                                  "Holds elements, pixels or other containers.");
  BindExternalBuffer(module);
  module.def(
      "nbytes_in_cache", [](const Resource& resource) { return resource.cache_bytes(); }, nb::arg(),
      nb::sig("def nbytes_in_cache(resource: Resource, /) -> int"),
      "The bytes that count toward the limit; 0 for what wraps other memory.");
  module.def(
      "nbytes_in_cache",
      [](nb::handle stream) {
        CheckedStream(stream);
        return 0;
      },
      nb::arg(), nb::sig("def nbytes_in_cache(stream: Stream, /) -> int"), "Of a stream, 0.");
}

}  // namespace nvcv_cached::python
