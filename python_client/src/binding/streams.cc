// Stream and as_stream: NVCV's, over the library's streams. On the host device they do nothing.
#include <nanobind/stl/string.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "arguments.h"
#include "bindings.h"
#include "nvcv_cached/error.h"
#include "nvcv_cached/stream.h"

namespace nvcv_cached::python {
namespace {

// A Python Stream keeps what it wraps; the thread's stack keeps the Streams that were entered.
struct PyStream {
  Stream stream;
  nb::object wrapped;
};

// Never dropped. No static object with an initialiser, which must not let the GIL go.
nb::handle DefaultStream() {
  static constinit std::atomic<PyObject*> kept{nullptr};
  if (PyObject* const known = kept.load(std::memory_order_acquire)) return known;
  nb::object made = nb::cast(PyStream{Stream::legacy_default(), nb::object()});
  PyObject* nobody = nullptr;
  if (!kept.compare_exchange_strong(nobody, made.ptr(), std::memory_order_acq_rel)) return nobody;
  return made.release();
}

// One per thread, left to the end of the process: a thread may end without the GIL.
std::vector<nb::object>& Entered() {
  static thread_local auto* const stack = new std::vector<nb::object>;
  return *stack;
}

nb::object Current() {
  return Entered().empty() ? nb::borrow(DefaultStream()) : nb::borrow(Entered().back());
}

void Enter(nb::handle self) {
  Entered().push_back(nb::borrow(self));
  nb::inst_ptr<PyStream>(self)->stream.make_current();
}

void Exit(nb::handle self, nb::handle type, nb::handle, nb::handle) {
  std::vector<nb::object>& stack = Entered();
  if (stack.empty() || !stack.back().is(self)) {
    if (!type.is_none()) return;
    throw std::runtime_error("this stream is not the current one of this thread");
  }
  stack.pop_back();
  nb::inst_ptr<PyStream>(Current())->stream.make_current();
}

std::uintptr_t HandleOf(const PyStream& self) {
  return reinterpret_cast<std::uintptr_t>(self.stream.handle());
}

std::uintptr_t Unsigned(nb::handle number) {
  PyObject* const integer = PyNumber_Long(number.ptr());
  if (integer == nullptr) throw nb::python_error();
  const std::uintptr_t value = PyLong_AsSize_t(integer);
  Py_DECREF(integer);
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw InvalidArgument(
        "stream " + nb::cast<std::string>(nb::repr(number)) + " is no handle of a CUDA stream",
        "give a CUstream as an integer, or a torch or CuPy stream");
  }
  return value;
}

// torch calls it cuda_stream, CuPy ptr, Numba handle.value, ctypes value; others are integers.
std::uintptr_t HandleIn(nb::handle object) {
  for (const char* name : {"cuda_stream", "ptr", "handle", "value"}) {
    if (!nb::hasattr(object, name)) continue;
    nb::object value = object.attr(name);
    if (value.is_none()) return 0;
    return HandleIn(value);
  }
  if (PyUnicode_Check(object.ptr()) || PyFloat_Check(object.ptr()) || object.is_none()) {
    throw nb::next_overload();
  }
  return Unsigned(object);
}

nb::object AsStream(nb::handle object) {
  const std::uintptr_t handle = HandleIn(object);
  return nb::cast(PyStream{Stream(reinterpret_cast<void*>(handle)), nb::borrow(object)});
}

}  // namespace

void BindStreams(nb::module_& module) {
  nb::class_<PyStream>(module, "Stream",
                       "A CUDA stream; as a context manager it is the thread's current one. On the "
                       "host device it does nothing.")
      .def(
          "__init__",
          [](PyStream* self) {
            new (self) PyStream{Stream(), nb::object()};
          },
          "A non-blocking stream: an idle one of this thread's cache, or a new one.")
      .def_prop_ro_static(
          "default", [](nb::handle) { return nb::borrow(DefaultStream()); },
          nb::sig("def default(self, /) -> Stream"), "The legacy default stream.")
      .def_prop_ro_static(
          "current", [](nb::handle) { return Current(); },
          nb::sig("def current(self, /) -> Stream"),
          "The one entered last by this thread, else the default.")
      .def_prop_ro("handle", HandleOf,
                   "The cudaStream_t as a number; 0: the legacy default stream, or the host.")
      .def_prop_ro(
          "id", [](const PyStream& self) { return self.stream.id(); },
          "Counts streams; one that is reused keeps it.")
      .def("__int__", HandleOf)
      .def("__enter__", Enter, nb::sig("def __enter__(self) -> None"))
      .def("__exit__", Exit, nb::arg("exc_type").none(), nb::arg("exc_value").none(),
           nb::arg("traceback").none(),
           nb::sig("def __exit__(self, exc_type: object, exc_value: object, traceback: object) -> "
                   "None"))
      .def(
          "sync", [](const PyStream& self) { self.stream.synchronize(); },
          "Waits for what was submitted to it.")
      .def(
          "wait_stream",
          [](const PyStream& self, const PyStream& other) {
            self.stream.wait_stream(other.stream);
          },
          nb::arg("stream"), "What is submitted here later runs after what `stream` has now.")
      .def("__repr__", [](const PyStream& self) {
        char handle[32];
        std::snprintf(handle, sizeof handle, "0x%zx", static_cast<std::size_t>(HandleOf(self)));
        return "<nvcv.cuda.Stream id=" + std::to_string(self.stream.id()) + " handle=" + handle +
               ">";
      });
  module.def("as_stream", AsStream, nb::arg("src"), nb::sig("def as_stream(src: object) -> Stream"),
             "A Stream of a torch, CuPy or Numba stream, or of a handle; keeps `src`.");
}

Stream CheckedStream(nb::handle object) {
  const auto* const stream = InstanceOf<PyStream>(object);
  if (stream == nullptr) throw nb::next_overload();
  return stream->stream;
}

Stream StreamOf(nb::handle object) {
  if (const auto* stream = InstanceOf<PyStream>(object)) return stream->stream;
  return Stream(reinterpret_cast<void*>(HandleIn(object)));
}

}  // namespace nvcv_cached::python
