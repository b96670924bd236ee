// nvcv.TensorLayout: labels compared by value with layouts and strings; a layout is no string
// otherwise.
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <optional>
#include <string>
#include <string_view>

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
  if (nb::isinstance<TensorLayout>(other)) return self == *nb::inst_ptr<TensorLayout>(other);
  if (!PyUnicode_Check(other.ptr())) return false;
  Py_ssize_t length = 0;
  const char* text = PyUnicode_AsUTF8AndSize(other.ptr(), &length);
  if (text == nullptr) {  // lone surrogates: no layout's labels
    PyErr_Clear();
    return false;
  }
  return self.view() == std::string_view(text, static_cast<std::size_t>(length));
}

// The members are instances that hang on their own class; the collector must see that circle to end
// it.
int VisitClass(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return 0;
}

PyType_Slot g_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(VisitClass)}, {0, nullptr}};

}  // namespace

void BindLayouts(nb::module_& module) {
  auto layout = nb::class_<TensorLayout>(module, "TensorLayout", nb::type_slots(g_slots),
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
  layout.attr("NONE") = nb::cast(TensorLayout());
  for (const char* name : kNames) layout.attr(name) = nb::cast(TensorLayout(name));
}

}  // namespace nvcv_cached::python
