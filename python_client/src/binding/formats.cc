// Format, ColorSpec and RectI.
//
// Format is enum-like, and no enum of Python's: any 64-bit value is one, with the name "???" where
// it has none.
#include <nanobind/operators.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <string>

#include "arguments.h"
#include "bindings.h"
#include "nvcv_cached/color_spec.h"
#include "nvcv_cached/format.h"
#include "nvcv_cached/geometry.h"

namespace nvcv_cached::python {
namespace {

std::string Repr(Format format) {
  const std::string name = format.name();
  if (name == "???") return "nvcv.Format(" + std::to_string(format.value()) + ")";
  return "nvcv.Format." + (name.front() == '_' ? name.substr(1) : name);
}

std::uint64_t ValueOf(nb::handle number) {
  if (PyLong_Check(number.ptr()) == 0) throw nb::next_overload();
  const std::uint64_t value = PyLong_AsUnsignedLongLong(number.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw nb::next_overload();
  }
  return value;
}

bool Same(Format self, nb::handle other) {
  const auto* const format = InstanceOf<Format>(other);
  return format != nullptr && *format == self;
}

void BindFormat(nb::module_& module) {
  auto format = nb::class_<Format>(
      module, "Format", nb::type_slots(kMemberSlots),
      "How the pixels of an image lie in memory and what they mean; a 64-bit value, as in NVCV.\n\n"
      "RGB8: one plane of 3 channels of 8 bits; RGB8p: three planes; NV12: a plane of luma and one "
      "of chroma, half as "
      "wide and high. _ER: extended range, _BL: block linear, which has no memory here.");
  format
      .def(
          "__init__", [](Format* self, nb::handle value) { new (self) Format(ValueOf(value)); },
          nb::arg(), nb::sig("def __init__(self, value: int, /) -> None"),
          "From its value, at least 0.")
      .def_prop_ro("name", &Format::name,
                   "'RGB8'; three question marks for a value without a name.")
      .def_prop_ro("value", &Format::value, "NVCV's number.")
      .def_prop_ro("planes", &Format::planes, "0 to 4.")
      .def_prop_ro("channels", &Format::channels, "In all planes together.")
      .def("__int__", &Format::value)
      .def("__index__", &Format::value)
      .def("__hash__", [](Format self) { return nb::hash(nb::int_(self.value())); })
      .def("__eq__", &Same, nb::arg().none(), nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def(
          "__ne__", [](Format self, nb::handle other) { return !Same(self, other); },
          nb::arg().none(), nb::sig("def __ne__(self, other: object, /) -> bool"))
      .def("__str__", [](Format self) { return "Format." + self.name(); })
      .def("__repr__", &Repr)
      .def(
          "__reduce__",
          [](Format self) {
            return nb::make_tuple(nb::type<Format>(), nb::make_tuple(self.value()));
          },
          nb::sig("def __reduce__(self) -> tuple[object, ...]"));
  nb::dict members;
  nb::list kept_by_the_class;  // so the properties only name them
  for (const std::string& name : Format::Names()) {
    const nb::object member = nb::cast(*Format::FromName(name));
    members[name.c_str()] = member;
    kept_by_the_class.append(member);
    format.def_prop_ro_static(
        name.c_str(), [kept = nb::handle(member)](nb::handle) { return nb::borrow(kept); },
        nb::sig("def fixed(self, /) -> Format"));
  }
  format.attr("_members") = nb::tuple(kept_by_the_class);
  format.attr("__members__") = members;
}

void BindColorSpec(nb::module_& module) {
  nb::enum_<ColorSpec> spec(module, "ColorSpec", "What the numbers of a colour image mean.");
  for (const char* name : {"BT601", "BT601_ER", "BT709", "BT709_ER", "BT2020", "BT2020_ER"}) {
    spec.value(name, *color_spec_from_name(name));
  }
  const auto value = [](ColorSpec self) { return static_cast<std::uint32_t>(self); };
  spec.def("__int__", value)
      .def("__index__", value)
      .def("__hash__", value)
      .def("__repr__",
           [](ColorSpec self) {
             return "<ColorSpec." + std::string(color_spec_name(self)) + ": " +
                    std::to_string(static_cast<std::uint32_t>(self)) + ">";
           })
      .def(
          "__eq__",
          [](ColorSpec self, nb::handle other) {
            ColorSpec spec{};
            if (nb::isinstance<ColorSpec>(other)) return nb::try_cast(other, spec) && spec == self;
            std::uint32_t number = 0;
            return PyLong_Check(other.ptr()) != 0 && nb::try_cast(other, number) &&
                   number == static_cast<std::uint32_t>(self);
          },
          nb::arg().none(), nb::sig("def __eq__(self, other: object, /) -> bool"),
          "A specification equals its value.");
}

void BindRectI(nb::module_& module) {
  nb::class_<RectI>(module, "RectI", "A rectangle of whole pixels; compared by identity.")
      .def(nb::init<>(), "All 0.")
      .def(
          "__init__",
          [](RectI* self, nb::handle x, nb::handle y, nb::handle width, nb::handle height) {
            new (self) RectI{IntOf(x), IntOf(y), IntOf(width), IntOf(height)};
          },
          nb::arg("x"), nb::arg("y"), nb::arg("width"), nb::arg("height"),
          nb::sig("def __init__(self, x: int, y: int, width: int, height: int) -> None"),
          "In 32 bits; negative ones are allowed.")
      .def_rw("x", &RectI::x, "Of the left edge.")
      .def_rw("y", &RectI::y, "Of the upper edge.")
      .def_rw("width", &RectI::width, "In pixels.")
      .def_rw("height", &RectI::height, "In pixels.")
      .def(
          "__reduce__",
          [](nb::handle) -> nb::object {
            throw nb::type_error("RectI cannot be copied or pickled");
          },
          nb::sig("def __reduce__(self) -> str | tuple[object, ...]"))
      .def("__repr__", [](const RectI& self) {
        return "RectI(x=" + std::to_string(self.x) + ",y=" + std::to_string(self.y) +
               ",width=" + std::to_string(self.width) + ",height=" + std::to_string(self.height) +
               ")";
      });
}

}  // namespace

void BindFormats(nb::module_& module) {
  BindFormat(module);
  BindColorSpec(module);
  BindRectI(module);
}

}  // namespace nvcv_cached::python
