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

// The member is kept by the class, so the property only names it.
void AddMember(nb::class_<TensorLayout>& layout, nb::list& members, const char* name,
               const TensorLayout& labels) {
  const nb::object member = nb::cast(labels);
  members.append(member);
  layout.def_prop_ro_static(
      name, [kept = nb::handle(member)](nb::handle) { return nb::borrow(kept); },
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
          nb::arg(), nb::sig("def __init__(self, labels: str, /) -> None"),
          "InvalidArgument for more than 15.")
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
  nb::list members;
  AddMember(layout, members, "NONE", TensorLayout());
  for (const char* name : kNames) AddMember(layout, members, name, TensorLayout(name));
  layout.attr("_members") = nb::tuple(members);
}

}  // namespace nvcv_cached::python
