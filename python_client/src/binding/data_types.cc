#include "data_types.h"

#include <nanobind/stl/string.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <unordered_map>

#include "arguments.h"
#include "bindings.h"

namespace nvcv_cached::python {
namespace {

constexpr const char* kNames[] = {
    "U8",    "S8",    "U16",   "S16",   "U32",   "S32",   "U64",   "S64",   "F16",   "F32",
    "F64",   "C64",   "C128",  "_2U8",  "_3U8",  "_4U8",  "_2S8",  "_3S8",  "_4S8",  "_2U16",
    "_3U16", "_4U16", "_2S16", "_3S16", "_4S16", "_2U32", "_3U32", "_4U32", "_2S32", "_3S32",
    "_4S32", "_2U64", "_3U64", "_4U64", "_2S64", "_3S64", "_4S64", "_2F16", "_3F16", "_4F16",
    "_2F32", "_3F32", "_4F32", "_2F64", "_3F64", "_4F64", "_2C64", "_3C64", "_4C64", "_2C128"};

// Strong references for the life of the process, dropped by nobody: modules outlive the
// interpreter's end. Not static objects with an initialiser: the import lets the GIL go, and a
// thread that waits for the initialiser's lock with the GIL in its hand would wait for ever.
nb::handle OfNumpy(const char* name, std::atomic<PyObject*>& kept) {
  if (PyObject* const known = kept.load(std::memory_order_acquire)) return known;
  nb::object found = nb::module_::import_("numpy").attr(name);
  PyObject* nobody = nullptr;
  if (!kept.compare_exchange_strong(nobody, found.ptr(), std::memory_order_acq_rel)) return nobody;
  return found.release();
}

nb::handle DtypeClass() {
  static constinit std::atomic<PyObject*> dtype{nullptr};
  return OfNumpy("dtype", dtype);
}

nb::handle GenericClass() {
  static constinit std::atomic<PyObject*> generic{nullptr};
  return OfNumpy("generic", generic);
}

char KindLetter(DataKind kind) {
  switch (kind) {
    case DataKind::kUnsigned:
      return 'u';
    case DataKind::kSigned:
      return 'i';
    case DataKind::kFloat:
      return 'f';
    case DataKind::kComplex:
      return 'c';
    case DataKind::kNone:
      break;
  }
  return 'V';
}

std::optional<DataType> FromDtype(nb::handle dtype) {
  int components = 1;
  nb::object base = nb::borrow(dtype);
  if (nb::object sub = dtype.attr("subdtype"); !sub.is_none()) {
    nb::object shape = sub[1];
    if (nb::len(shape) != 1) return std::nullopt;
    Py_ssize_t count = nb::cast<Py_ssize_t>(shape[0]);
    if (count < 1 || count > 4) return std::nullopt;
    components = static_cast<int>(count);
    base = sub[0];
  }
  if (!nb::cast<bool>(base.attr("isnative"))) return std::nullopt;
  DataKind kind = DataKind::kNone;
  switch (nb::cast<std::string>(base.attr("kind"))[0]) {
    case 'u':
      kind = DataKind::kUnsigned;
      break;
    case 'i':
      kind = DataKind::kSigned;
      break;
    case 'f':
      kind = DataKind::kFloat;
      break;
    case 'c':
      kind = DataKind::kComplex;
      break;
    default:
      return std::nullopt;
  }
  int bits = nb::cast<int>(base.attr("itemsize")) * 8;
  if (bits > 128) return std::nullopt;
  DataType type(kind, bits, components);
  if (!type.is_supported()) return std::nullopt;
  return type;
}

// Objects whose meaning cannot change: safe to remember by address while a reference is held.
bool IsConstant(nb::handle object) {
  PyObject* ptr = object.ptr();
  if (PyType_Check(ptr)) return PyObject_IsSubclass(ptr, GenericClass().ptr()) == 1;
  return PyUnicode_CheckExact(ptr) || PyObject_IsInstance(ptr, DtypeClass().ptr()) == 1;
}

struct Remembered {
  PyObject* object = nullptr;
  DataType type;
};
constexpr std::size_t kRemembered = 64;

}  // namespace

nb::handle NumpyDtype(DataType type) {
  static std::unordered_map<std::uint32_t, nb::handle>* known =
      new std::unordered_map<std::uint32_t, nb::handle>;
  if (auto it = known->find(type.packed()); it != known->end()) return it->second;
  std::string base = KindLetter(type.kind()) + std::to_string(type.component_bytes());
  nb::object dtype = type.components() == 1
                         ? DtypeClass()(base)
                         : DtypeClass()(nb::make_tuple(base, nb::make_tuple(type.components())));
  return known->emplace(type.packed(), dtype.release()).first->second;
}

std::optional<DataType> FromNumpy(nb::handle object) {
  static std::array<Remembered, kRemembered> remembered;
  Remembered& slot = remembered[reinterpret_cast<std::uintptr_t>(object.ptr()) / 16 % kRemembered];
  if (slot.object == object.ptr()) return slot.type;
  if (object.is_none()) return std::nullopt;
  if (nb::isinstance<DataType>(object)) {
    const DataType* const type = InstanceOf<DataType>(object);
    return type == nullptr ? std::nullopt : std::optional(*type);
  }
  PyObject* converted = PyObject_CallOneArg(DtypeClass().ptr(), object.ptr());
  if (converted == nullptr) {
    PyErr_Clear();
    return std::nullopt;
  }
  std::optional<DataType> type = FromDtype(nb::steal(converted));
  if (type.has_value() && IsConstant(object)) {
    Py_INCREF(object.ptr());
    Py_XDECREF(slot.object);
    slot = {object.ptr(), *type};
  }
  return type;
}

bool IsFloatingScalar(PyObject* object) {
  if (PyObject_IsInstance(object, GenericClass().ptr()) != 1) return false;
  std::string kind = nb::cast<std::string>(nb::handle(object).attr("dtype").attr("kind"));
  return kind == "f" || kind == "c";
}

std::string BufferFormat(DataType type) {
  bool wide = type.kind() == DataKind::kComplex;
  std::int64_t bytes = wide ? type.component_bytes() / 2 : type.component_bytes();
  switch (type.kind()) {
    case DataKind::kUnsigned:
      return bytes == 1 ? "B" : bytes == 2 ? "H" : bytes == 4 ? "I" : "Q";
    case DataKind::kSigned:
      return bytes == 1 ? "b" : bytes == 2 ? "h" : bytes == 4 ? "i" : "q";
    default:
      return std::string(wide ? "Z" : "") + (bytes == 2 ? "e" : bytes == 4 ? "f" : "d");
  }
}

std::optional<DataType> FromBufferFormat(std::string_view format) {
  const bool swapped = !format.empty() && (format[0] == '>' || format[0] == '!');
  if (!format.empty() && std::string_view("@=<>!").find(format[0]) != std::string_view::npos) {
    format.remove_prefix(1);
  }
  // In native sizes "l" and "L" are 8 bytes.
  static const std::unordered_map<std::string_view, DataType> types = {
      {"B", DataType::kU8},   {"c", DataType::kU8},  {"b", DataType::kS8},
      {"H", DataType::kU16},  {"h", DataType::kS16}, {"I", DataType::kU32},
      {"i", DataType::kS32},  {"L", DataType::kU64}, {"l", DataType::kS64},
      {"Q", DataType::kU64},  {"q", DataType::kS64}, {"e", DataType::kF16},
      {"f", DataType::kF32},  {"d", DataType::kF64}, {"Zf", DataType::kC64},
      {"Zd", DataType::kC128}};
  const auto found = types.find(format);
  if (found == types.end() || (swapped && found->second.component_bytes() > 1)) return std::nullopt;
  return found->second;
}

std::string Typestr(DataType type) {
  return (type.component_bytes() == 1 ? "|" : "<") + std::string(1, KindLetter(type.kind())) +
         std::to_string(type.component_bytes());
}

void BindDataTypes(nb::module_& module) {
  auto type = nb::class_<DataType>(
      module, "Type",
      "The type of a tensor's elements: one to four components of one kind.\n\n"
      "The members are NumPy dtypes, those of vectors sub-array dtypes: Type._2U8 == dtype(('u1', "
      "(2,))).");
  type.def(nb::init<>(), "No type, with 0 components.")
      .def(
          "__init__",
          [](DataType* self, nb::handle other) {
            std::optional<DataType> converted = FromNumpy(other);
            if (!converted.has_value()) throw nb::next_overload();
            new (self) DataType(*converted);
          },
          nb::arg(), nb::sig("def __init__(self, dtype: Type | numpy.typing.DTypeLike, /) -> None"),
          "From another Type or from what numpy.dtype takes.")
      .def_prop_ro("components", &DataType::components, "1 to 4; 0 for no type.")
      .def("__repr__", [](DataType self) { return "nvcv.Type." + self.name(); })
      .def("__hash__",
           [](DataType self) { return self.components() == 0 ? 0 : nb::hash(NumpyDtype(self)); })
      .def(
          "__eq__",
          [](DataType self, nb::handle other) {
            std::optional<DataType> type = FromNumpy(other);
            return type.has_value() && self == *type;
          },
          nb::arg().none(), nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def(
          "__ne__",
          [](DataType self, nb::handle other) {
            std::optional<DataType> type = FromNumpy(other);
            return !(type.has_value() && self == *type);
          },
          nb::arg().none(), nb::sig("def __ne__(self, other: object, /) -> bool"))
      .def(
          "__lt__",
          [](DataType self, nb::handle other) -> nb::object {
            std::optional<DataType> type = FromNumpy(other);
            if (!type.has_value()) return nb::borrow(Py_NotImplemented);
            return nb::bool_(self.packed() < type->packed());
          },
          nb::arg().none(),
          nb::sig("def __lt__(self, other: Type | numpy.typing.DTypeLike, /) -> bool"))
      .def(
          "__gt__",
          [](DataType self, nb::handle other) -> nb::object {
            std::optional<DataType> type = FromNumpy(other);
            if (!type.has_value()) return nb::borrow(Py_NotImplemented);
            return nb::bool_(self.packed() > type->packed());
          },
          nb::arg().none(),
          nb::sig("def __gt__(self, other: Type | numpy.typing.DTypeLike, /) -> bool"))
      .def(
          "__reduce__",
          [](nb::handle) -> nb::object { throw nb::type_error("Type cannot be pickled"); },
          nb::sig("def __reduce__(self) -> str | tuple[object, ...]"));
  for (const char* name : kNames) {
    DataType member = *DataType::FromName(name);
    type.def_prop_ro_static(
        name, [member](nb::handle) { return nb::borrow(NumpyDtype(member)); },
        nb::sig("def fixed(self, /) -> numpy.dtype"));
  }
}

}  // namespace nvcv_cached::python
