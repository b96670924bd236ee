// Four interfaces, and in which order they are asked: one decision, so in one file.
#include "foreign.h"

#include <nanobind/stl/string.h>

#include <optional>
#include <utility>

#include "data_types.h"
#include "dlpack_abi.h"
#include "export.h"
#include "nvcv_cached/device.h"
#include "nvcv_cached/error.h"
#include "nvcv_cached/stream.h"

namespace nvcv_cached::python {
namespace {

bool Has(nb::handle object, const char* name) {
  // Of instances only: a class has its instances' methods too.
  return PyType_Check(object.ptr()) == 0 && nb::hasattr(object, name);
}

[[noreturn]] void ReadOnly(nb::handle object) {
  throw InvalidArgument("the memory of a " + TypeName(object) + " is read-only",
                        "give a writable array: a copy of it is one");
}

[[noreturn]] void NoType(const std::string& found) {
  throw InvalidArgument("elements of type " + found + " have no place here",
                        "convert them to one of Type's: integers, floats or complex numbers of the "
                        "machine's byte order");
}

void SetDense(ForeignBuffer& buffer) {
  buffer.strides.assign(buffer.shape.size(), 0);
  std::int64_t stride = buffer.type.size_bytes();
  for (std::size_t dim = buffer.shape.size(); dim-- > 0;) {
    buffer.strides[dim] = stride;
    stride *= buffer.shape[dim];
  }
}

void CheckDevice(const ForeignBuffer& buffer, nb::handle object, Use use) {
  const bool on_gpu = buffer.cuda_device >= 0;
  if (use == Use::kRead && on_gpu) {
    throw InvalidArgument(
        "the memory of a " + TypeName(object) + " is a GPU's, and is to be read on the host",
        "wrap it with as_image, or copy it to the host");
  }
  if (use == Use::kRead) return;
  const bool host_device = device().is_host();
  if (host_device == on_gpu) {
    throw InvalidArgument("the memory of a " + TypeName(object) + " is " +
                              (on_gpu ? "a GPU's" : "the host's") + ", and objects here are on " +
                              (host_device ? "the host device" : "a GPU"),
                          on_gpu ? "copy it to the host, or connect to the GPU's daemon"
                                 : "copy it to the GPU first");
  }
}

// Refused by CheckDevice, before the producer does any work.
ForeignBuffer OnGpu(int cuda_device) {
  ForeignBuffer buffer;
  buffer.cuda_device = cuda_device;
  return buffer;
}

std::vector<std::int64_t> Integers(nb::handle sequence) {
  std::vector<std::int64_t> values;
  for (nb::handle value : nb::borrow<nb::sequence>(sequence)) {
    values.push_back(nb::cast<std::int64_t>(value));
  }
  return values;
}

// Of __array_interface__ and __cuda_array_interface__.
std::optional<ForeignBuffer> FromInterface(nb::handle object, const char* name) {
  nb::object found = object.attr(name);
  if (!PyDict_Check(found.ptr())) return std::nullopt;
  nb::dict interface = nb::borrow<nb::dict>(found);
  for (const char* needed : {"shape", "typestr", "data", "version"}) {
    if (!interface.contains(needed)) return std::nullopt;
  }
  if (nb::cast<int>(interface["version"]) < 2) return std::nullopt;
  if (PyBytes_Check(nb::handle(interface["data"]).ptr())) ReadOnly(object);  // as Pillow's images
  if (!PyTuple_Check(nb::handle(interface["data"]).ptr())) return std::nullopt;
  ForeignBuffer buffer;
  const std::optional<DataType> type = FromNumpy(interface["typestr"]);
  if (!type.has_value()) NoType(nb::cast<std::string>(interface["typestr"]));
  buffer.type = *type;
  buffer.shape = Integers(interface["shape"]);
  nb::object data = interface["data"];
  if (nb::cast<bool>(data[1])) ReadOnly(object);
  buffer.data = reinterpret_cast<void*>(nb::cast<std::uintptr_t>(data[0]));
  SetDense(buffer);
  if (interface.contains("strides") && !nb::handle(interface["strides"]).is_none()) {
    buffer.strides = Integers(interface["strides"]);
  }
  if (buffer.strides.size() != buffer.shape.size()) {
    throw InvalidArgument(std::string(name) + " has " + std::to_string(buffer.shape.size()) +
                              " dimensions and " + std::to_string(buffer.strides.size()) +
                              " strides",
                          "give as many strides as dimensions");
  }
  buffer.owner = nb::borrow(object);
  return buffer;
}

std::optional<ForeignBuffer> FromCudaInterface(nb::handle object) {
  std::optional<ForeignBuffer> buffer = FromInterface(object, "__cuda_array_interface__");
  if (!buffer.has_value()) return std::nullopt;
  if (device().is_host()) {
    buffer->cuda_device = 0;  // whichever: it is refused
    return buffer;
  }
  buffer->cuda_device = cuda_device_of(buffer->data);
  nb::dict interface = nb::borrow<nb::dict>(nb::object(object.attr("__cuda_array_interface__")));
  nb::object stream = interface.attr("get")("stream");
  std::int64_t handle = 1;
  if (interface.contains("stream")) {
    if (stream.is_none()) return buffer;
    if (!nb::try_cast(stream, handle)) handle = 1;
    if (handle == -1) return buffer;
  }
  Stream::current().wait_stream(
      Stream(reinterpret_cast<void*>(static_cast<std::uintptr_t>(handle))));
  return buffer;
}

// A view of the buffer protocol, for as long as the memory is used.
std::optional<ForeignBuffer> FromBufferProtocol(nb::handle object, Use use) {
  if (PyObject_CheckBuffer(object.ptr()) == 0) return std::nullopt;
  PyObject* const view = PyMemoryView_FromObject(object.ptr());
  if (view == nullptr) throw nb::python_error();
  ForeignBuffer buffer;
  buffer.owner = nb::steal(view);
  const Py_buffer* const memory = PyMemoryView_GET_BUFFER(view);
  if (use == Use::kWrap && memory->readonly != 0) ReadOnly(object);
  const std::string format = memory->format == nullptr ? "B" : memory->format;
  const std::optional<DataType> type = FromBufferFormat(format);
  if (!type.has_value() || type->size_bytes() != memory->itemsize) NoType("'" + format + "'");
  buffer.type = *type;
  buffer.data = memory->buf;
  for (int dim = 0; dim < memory->ndim; ++dim) {
    buffer.shape.push_back(memory->shape[dim]);
    buffer.strides.push_back(memory->strides[dim]);
  }
  return buffer;
}

DataType FromElementType(const dlpack::ElementType& element) {
  DataKind kind = DataKind::kNone;
  if (element.code == dlpack::kUInt) kind = DataKind::kUnsigned;
  if (element.code == dlpack::kInt) kind = DataKind::kSigned;
  if (element.code == dlpack::kFloat) kind = DataKind::kFloat;
  if (element.code == dlpack::kComplex) kind = DataKind::kComplex;
  const DataType type(kind, element.bits, element.lanes);
  if (!type.is_supported()) {
    NoType("DLPack " + std::to_string(element.code) + ", " + std::to_string(element.bits) +
           " bits");
  }
  return type;
}

void SetArray(ForeignBuffer& buffer, const dlpack::Array& array) {
  buffer.type = FromElementType(array.dtype);
  buffer.data = static_cast<char*>(array.data) + array.byte_offset;
  buffer.cuda_device = array.device.type == dlpack::kCuda ? array.device.id : -1;
  buffer.shape.assign(array.shape, array.shape + array.ndim);
  SetDense(buffer);
  if (array.strides == nullptr) return;
  for (int dim = 0; dim < array.ndim; ++dim) {
    buffer.strides[static_cast<std::size_t>(dim)] = array.strides[dim] * buffer.type.size_bytes();
  }
}

// The deleters of many libraries want the GIL, so a capsule of ours calls them.
template <class Managed>
nb::object Consumed(Managed* managed) {
  PyObject* const capsule = PyCapsule_New(managed, "nvcv_cached.consumed", [](PyObject* self) {
    auto* const held = static_cast<Managed*>(PyCapsule_GetPointer(self, "nvcv_cached.consumed"));
    if (held->deleter != nullptr) held->deleter(held);
  });
  if (capsule == nullptr) throw nb::python_error();
  return nb::steal(capsule);
}

nb::object AskForCapsule(nb::handle object, bool on_gpu) {
  nb::object method = object.attr("__dlpack__");
  nb::dict keywords;
  if (on_gpu) {
    const auto handle = reinterpret_cast<std::uintptr_t>(Stream::current().handle());
    keywords["stream"] = handle == 0 ? 1 : handle;
  }
  keywords["max_version"] = nb::make_tuple(1, 0);
  try {
    return method(**keywords);
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_TypeError)) throw;
  }
  PyDict_DelItemString(keywords.ptr(), "max_version");  // of the first DLPack
  return method(**keywords);
}

std::optional<ForeignBuffer> FromDlpack(nb::handle object) {
  if (!Has(object, "__dlpack__")) return std::nullopt;
  bool on_gpu = !device().is_host();
  if (Has(object, "__dlpack_device__")) {
    nb::object where = object.attr("__dlpack_device__")();
    const int type = nb::cast<int>(where[0]);
    on_gpu = type != dlpack::kCpu;
    if (type != dlpack::kCpu && type != dlpack::kCuda && type != dlpack::kCudaHost &&
        type != dlpack::kCudaManaged) {
      throw InvalidArgument("a " + TypeName(object) + " on DLPack's device " + std::to_string(type),
                            "copy it to the host or to the GPU");
    }
    if (on_gpu && device().is_host()) return OnGpu(nb::cast<int>(where[1]));
  }
  nb::object capsule = AskForCapsule(object, on_gpu);
  ForeignBuffer buffer;
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    auto* const managed =
        static_cast<dlpack::Versioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    if ((managed->flags & dlpack::kIsReadOnly) != 0) ReadOnly(object);
    SetArray(buffer, managed->array);
    buffer.owner = Consumed(managed);
    PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
  } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
    auto* const managed =
        static_cast<dlpack::Unversioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
    SetArray(buffer, managed->array);
    buffer.owner = Consumed(managed);
    PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  } else {
    throw InvalidArgument("__dlpack__ of a " + TypeName(object) + " gave a " + TypeName(capsule),
                          "return a capsule named dltensor or dltensor_versioned");
  }
  return buffer;
}

std::optional<ForeignBuffer> Import(nb::handle object, Use use) {
  if (nb::isinstance<ExternalBuffer>(object) && nb::inst_ready(object)) {
    const Tensor& tensor = nb::inst_ptr<ExternalBuffer>(object)->tensor;
    ForeignBuffer buffer;
    buffer.data = tensor.data();
    buffer.type = tensor.dtype();
    for (int dim = 0; dim < tensor.rank(); ++dim) {
      buffer.shape.push_back(tensor.shape()[dim]);
      buffer.strides.push_back(tensor.stride_bytes(dim));
    }
    buffer.cuda_device = tensor.cuda_device();
    buffer.owner = nb::borrow(object);
    return buffer;
  }
  if (use == Use::kWrap && Has(object, "__cuda_array_interface__")) {
    if (auto buffer = FromCudaInterface(object)) return buffer;
  }
  if (use == Use::kRead || device().is_host()) {
    if (auto buffer = FromBufferProtocol(object, use)) return buffer;
    if (auto buffer = FromDlpack(object)) return buffer;
    if (Has(object, "__array_interface__")) {
      if (use == Use::kWrap) return FromInterface(object, "__array_interface__");
      // Whatever NumPy makes of it: PIL images give bytes.
      static nb::handle asarray =
          nb::object(nb::module_::import_("numpy").attr("asarray")).release();
      return FromBufferProtocol(asarray(object), use);
    }
    if (Has(object, "__cuda_array_interface__")) return OnGpu(0);  // whichever
    return std::nullopt;
  }
  return FromDlpack(object);
}

}  // namespace

bool LooksLikeBuffer(nb::handle object) {
  return PyObject_CheckBuffer(object.ptr()) != 0 || nb::isinstance<ExternalBuffer>(object) ||
         Has(object, "__cuda_array_interface__") || Has(object, "__dlpack__") ||
         Has(object, "__array_interface__");
}

ForeignBuffer ImportBuffer(nb::handle object, Use use) {
  std::optional<ForeignBuffer> buffer = Import(object, use);
  if (!buffer.has_value()) {
    throw InvalidArgument(
        "Input buffer doesn't provide cuda_array_interface or DLPack interfaces. "
        "It is a " +
            TypeName(object),
        "give an array of NumPy (host device), torch or CuPy");
  }
  CheckDevice(*buffer, object, use);
  return *std::move(buffer);
}

std::shared_ptr<const void> Keep(nb::object object) {
  return {object.release().ptr(), [](const void* kept) {
            if (Py_IsInitialized() == 0) return;  // too late for Python's destructors
            nb::gil_scoped_acquire gil;
            Py_DECREF(static_cast<PyObject*>(const_cast<void*>(kept)));
          }};
}

std::string TypeName(nb::handle object) {
  const nb::handle type = object.type();
  const std::string name = nb::cast<std::string>(type.attr("__qualname__"));
  const std::string module = nb::cast<std::string>(nb::str(type.attr("__module__")));
  return module == "builtins" ? name : module + "." + name;
}

}  // namespace nvcv_cached::python
