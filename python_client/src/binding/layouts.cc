// nvcv.TensorLayout: labels compared by value with layouts and strings; a layout is no string
// otherwise.
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <optional>
#include <string>
#include <string_view>

#include "arguments.h"
#include "bindings.h"
#include "nvcv_cached/tensor_layout.h"

namespace nvcv_cached::python {
namespace {

constexpr const char* kNames[] = {
    "N",     "C",    "F",     "D",     "H",     "W",     "WC",     "CW",     "NW",    "NWC",
    "NCW",   "HW",   "NHW",   "FHW",   "NFHW",  "CHW",   "NCHW",   "HWC",    "NHWC",  "CFHW",
    "FCHW",  "FHWC", "NCFHW", "NFCHW", "NFHWC", "DHW",   "NDHW",   "CDHW",   "DHWC",  "NCDHW",
    "NDHWC", "FDHW", "NFDHW", "CFDHW", "FCDHW", "FDHWC", "NCFDHW", "NFCDHW", "NFDHWC"};

bool SameLabels(const TensorLayout& self, nb::handle other) {
  if (const auto* layout = InstanceOf<TensorLayout>(other)) return self == *layout;
  if (!PyUnicode_Check(other.ptr())) return false;
  Py_ssize_t length = 0;
  const char* text = PyUnicode_AsUTF8AndSize(other.ptr(), &length);
  if (text == nullptr) {  // lone surrogates: no layout's labels
    PyErr_Clear();
    return false;
  }
  return self.view() == std::string_view(text, static_cast<std::size_t>(length));
}

void AddMember(nb::class_<TensorLayout>& layout, const char* name, const TensorLayout& labels) {
  layout.attr("_members")[name] = nb::cast(labels);
  layout.def_prop_ro_static(
      name, [name](nb::handle) { return nb::object(nb::type<TensorLayout>().attr("_members")[name]); },
      nb::sig("def fixed(self, /) -> TensorLayout"));
}

}  // namespace

void BindLayouts(nb::module_& module) {
  auto layout = nb::class_<TensorLayout>(module, "TensorLayout", nb::type_slots(kMemberSlots),
                                         "The labels of a tensor's dimensions, such as 'NHWC': up "
                                         "to 15 characters. A str does wherever a layout "
                                         "is taken.");
  layout
      .def(
          "__init__",
          [](TensorLayout* self, std::string_view labels) { new (self) TensorLayout(labels); },
          nb::arg(), nb::sig("def __init__(self, labels: str, /) -> None"))
      .def("__repr__", [](const TensorLayout& self) { return self.str(); })
      .def("__hash__",
           [](const TensorLayout& self) {
             return nb::hash(nb::make_tuple("TensorLayout", self.str()));
           })
      .def("__eq__", &SameLabels, nb::arg().none(),
           nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def(
          "__ne__",
          [](const TensorLayout& self, nb::handle other) { return !SameLabels(self, other); },
          nb::arg().none(), nb::sig("def __ne__(self, other: object, /) -> bool"))
      .def(
          "__reduce__",
          [](nb::handle) -> nb::object { throw nb::type_error("TensorLayout cannot be pickled"); },
          nb::sig("def __reduce__(self) -> str | tuple[object, ...]"));
  layout.attr("_members") = nb::dict();
  AddMember(layout, "NONE", TensorLayout());
  for (const char* name : kNames) AddMember(layout, name, TensorLayout(name));
}

}  // namespace nvcv_cached::python
