#include "export.h"

#include <nanobind/stl/string.h>

#include <memory>
#include <string>
#include <utility>

#include "data_types.h"
#include "dlpack_abi.h"
#include "nvcv_cached/copy.h"
#include "nvcv_cached/error.h"
#include "nvcv_cached/stream.h"

namespace nvcv_cached::python {
namespace {

// Consumers refuse null for an empty array.
char g_nothing = 0;

dlpack::ElementType ElementTypeOf(DataType component) {
  std::uint8_t code = dlpack::kUInt;
  if (component.kind() == DataKind::kSigned) code = dlpack::kInt;
  if (component.kind() == DataKind::kFloat) code = dlpack::kFloat;
  if (component.kind() == DataKind::kComplex) code = dlpack::kComplex;
  return {code, static_cast<std::uint8_t>(component.bits()), 1};
}

dlpack::Device DeviceOf(const Tensor& tensor) {
  const int cuda = tensor.cuda_device();
  return cuda < 0 ? dlpack::Device{dlpack::kCpu, 0} : dlpack::Device{dlpack::kCuda, cuda};
}

// A DLPack structure together with what it points to and keeps in use.
template <class Managed>
struct Exported {
  explicit Exported(const Tensor& exported) : tensor(exported), view(tensor) {
    for (int dim = 0; dim < view.ndim; ++dim)
      strides[dim] = view.strides[dim] / view.component.size_bytes();
    managed.array = {.data = view.data,
                     .device = DeviceOf(exported),
                     .ndim = view.ndim,
                     .dtype = ElementTypeOf(view.component),
                     .shape = view.shape,
                     .strides = strides,
                     .byte_offset = 0};
    managed.context = this;
    managed.deleter = [](Managed* self) { delete static_cast<Exported*>(self->context); };
  }

  Tensor tensor;
  View view;
  std::int64_t strides[kMaxRank + 1];
  Managed managed{};
};

constexpr char kUnversionedName[] = "dltensor";
constexpr char kVersionedName[] = "dltensor_versioned";

// A capsule nobody took: its name is still the one that it was made with.
template <class Managed, const char* name>
void DropCapsule(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, name)) return;
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  managed->deleter(managed);
}

template <class Managed, const char* name>
nb::object MakeCapsule(std::unique_ptr<Exported<Managed>> exported) {
  PyObject* capsule = PyCapsule_New(&exported->managed, name, DropCapsule<Managed, name>);
  if (capsule == nullptr) throw nb::python_error();
  exported.release();
  return nb::steal(capsule);
}

void HandOutTo(const Tensor& tensor, nb::handle stream) {
  std::int64_t handle = 1;
  if (!stream.is_none() && !nb::try_cast(stream, handle)) {
    throw nb::type_error("__dlpack__: stream is no integer");
  }
  if (handle == -1) return;
  if (handle == 0 || handle < -1) {
    throw InvalidArgument(
        "__dlpack__(stream=" + std::to_string(handle) + ")",
        "use 1 for the legacy default stream, 2 for the per-thread one, a handle, "
        "or -1 for no wait");
  }
  const Stream consumer(reinterpret_cast<void*>(static_cast<std::uintptr_t>(handle)));
  tensor.data();
  tensor.record_stream(consumer);
  consumer.wait_stream(Stream::current());
}

struct BufferStorage {
  explicit BufferStorage(const Tensor& tensor)
      : view(tensor), format(BufferFormat(view.component)) {}
  View view;
  std::string format;
};

int GetBuffer(PyObject* self, Py_buffer* buffer, int flags) {
  buffer->obj = nullptr;
  std::unique_ptr<BufferStorage> storage;
  if (!nb::inst_ready(self)) {  // of __new__ alone
    PyErr_SetString(PyExc_BufferError,
                    "the tensor was never initialised; do: call Tensor.__init__");
    return -1;
  }
  if (nb::inst_ptr<Tensor>(self)->cuda_device() >= 0) {
    PyErr_SetString(PyExc_BufferError, "the tensor's memory is a GPU's; do: copy it to the host");
    return -1;
  }
  try {
    storage = std::make_unique<BufferStorage>(*nb::inst_ptr<Tensor>(self));
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_BufferError, error.what());
    return -1;
  }
  View& view = storage->view;
  bool strided = (flags & PyBUF_STRIDES) == PyBUF_STRIDES;
  bool wants_order = (flags & (PyBUF_C_CONTIGUOUS | PyBUF_F_CONTIGUOUS | PyBUF_ANY_CONTIGUOUS) &
                      ~PyBUF_STRIDES) != 0;
  bool wants_fortran = (flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS &&
                       (flags & PyBUF_C_CONTIGUOUS) != PyBUF_C_CONTIGUOUS;
  if ((!strided || wants_order) && !view.is_contiguous()) {
    PyErr_SetString(PyExc_BufferError, "the tensor's rows are padded; do: ask for strides");
    return -1;
  }
  if (wants_fortran && view.ndim > 1) {
    PyErr_SetString(PyExc_BufferError, "the tensor's innermost dimension is its last");
    return -1;
  }
  buffer->buf = view.data;
  buffer->itemsize = view.component.size_bytes();
  buffer->len = view.size * buffer->itemsize;
  buffer->readonly = 0;
  buffer->ndim = view.ndim;
  buffer->format = (flags & PyBUF_FORMAT) != 0 ? storage->format.data() : nullptr;
  buffer->shape = (flags & PyBUF_ND) != 0 ? reinterpret_cast<Py_ssize_t*>(view.shape) : nullptr;
  buffer->strides = strided ? reinterpret_cast<Py_ssize_t*>(view.strides) : nullptr;
  buffer->suboffsets = nullptr;
  buffer->internal = storage.release();
  buffer->obj = Py_NewRef(self);  // the view keeps the tensor, the tensor its block
  return 0;
}

void ReleaseBuffer(PyObject*, Py_buffer* buffer) {
  delete static_cast<BufferStorage*>(buffer->internal);
}

static_assert(sizeof(Py_ssize_t) == sizeof(std::int64_t));

}  // namespace

PyType_Slot kTensorBufferSlots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(GetBuffer)},
                                    {Py_bf_releasebuffer, reinterpret_cast<void*>(ReleaseBuffer)},
                                    {0, nullptr}};

View::View(const Tensor& tensor) : data(tensor.data()) {
  if (data == nullptr) data = &g_nothing;
  DataType dtype = tensor.dtype();
  component = DataType(dtype.kind(), dtype.bits());
  Shape extents = tensor.shape();
  for (; ndim < extents.rank(); ++ndim) {
    shape[ndim] = extents[ndim];
    strides[ndim] = tensor.stride_bytes(ndim);
  }
  if (dtype.components() > 1) {
    shape[ndim] = dtype.components();
    strides[ndim++] = component.size_bytes();
  }
  for (int dim = 0; dim < ndim; ++dim) size *= shape[dim];
}

bool View::is_contiguous() const {
  std::int64_t dense = component.size_bytes();
  for (int dim = ndim - 1; dim >= 0; --dim) {
    if (shape[dim] > 1 && strides[dim] != dense && size > 0) return false;
    dense *= shape[dim];
  }
  return true;
}

nb::tuple DlpackDevice(const Tensor& tensor) {
  const dlpack::Device device = DeviceOf(tensor);
  return nb::make_tuple(device.type, device.id);
}

nb::object ToDlpack(const Tensor& tensor, nb::handle stream, nb::handle max_version,
                    nb::handle device, nb::handle copy) {
  const bool on_gpu = tensor.cuda_device() >= 0;
  if (nb::tuple own = DlpackDevice(tensor); !device.is_none() && !device.equal(own)) {
    const std::string text = std::string("this tensor's memory is ") +
                             (on_gpu ? "a GPU's" : "the host's") + ": DLPack device " +
                             nb::cast<std::string>(nb::repr(own)) + "; do: copy it yourself";
    throw nb::buffer_error(text.c_str());
  }
  bool copied = !copy.is_none() && nb::cast<bool>(copy);
  Tensor exported = copied ? copy_of(tensor) : tensor;
  if (on_gpu) HandOutTo(exported, stream);
  if (max_version.is_none() || nb::cast<int>(max_version[0]) < 1) {
    return MakeCapsule<dlpack::Unversioned, kUnversionedName>(
        std::make_unique<Exported<dlpack::Unversioned>>(exported));
  }
  auto versioned = std::make_unique<Exported<dlpack::Versioned>>(exported);
  versioned->managed.version = {1, 0};
  versioned->managed.flags = copied ? dlpack::kIsCopied : 0;
  return MakeCapsule<dlpack::Versioned, kVersionedName>(std::move(versioned));
}

namespace {

nb::dict Interface(const Tensor& tensor) {
  View view(tensor);
  nb::list shape, strides;
  for (int dim = 0; dim < view.ndim; ++dim) {
    shape.append(view.shape[dim]);
    strides.append(view.strides[dim]);
  }
  nb::dict interface;
  interface["version"] = 3;
  interface["typestr"] = Typestr(view.component);
  interface["shape"] = nb::tuple(shape);
  interface["strides"] = nb::tuple(strides);
  interface["data"] = nb::make_tuple(reinterpret_cast<std::uintptr_t>(view.data), false);
  return interface;
}

}  // namespace

nb::dict ArrayInterface(const Tensor& tensor) {
  if (tensor.cuda_device() >= 0) {
    throw nb::attribute_error("__array_interface__: the tensor's memory is a GPU's");
  }
  return Interface(tensor);
}

nb::dict CudaArrayInterface(const Tensor& tensor) {
  if (tensor.cuda_device() < 0) {
    throw nb::attribute_error("__cuda_array_interface__: the tensor's memory is the host's");
  }
  nb::dict interface = Interface(tensor);
  const auto stream = reinterpret_cast<std::uintptr_t>(Stream::current().handle());
  interface["stream"] = stream == 0 ? 1 : stream;
  return interface;
}

}  // namespace nvcv_cached::python
