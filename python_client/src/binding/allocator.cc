// The functions under nvcv_cached.torch, .cupy and .rmm: allocator.h, with exceptions.
#include "nvcv_cached/allocator.h"

#include <dlfcn.h>

#include <cstdint>
#include <string>

#include "bindings.h"
#include "nvcv_cached/error.h"

namespace nvcv_cached::python {
namespace {

std::uintptr_t Allocate(std::size_t size_bytes, int device, std::uintptr_t stream) {
  void* const data = nvcv_cached_allocate(size_bytes, device, reinterpret_cast<void*>(stream));
  if (data == nullptr && size_bytes != 0) {
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_MemoryError, nvcv_cached_last_error());
    throw nb::python_error();
  }
  return reinterpret_cast<std::uintptr_t>(data);
}

void Free(std::uintptr_t pointer, int device, std::uintptr_t stream) {
  nvcv_cached_free(reinterpret_cast<void*>(pointer), 0, device, reinterpret_cast<void*>(stream));
}

nb::object LibraryPath() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&nvcv_cached_allocate), &info) == 0) {
    throw Error(ErrorCode::kInternal, "the loader does not know where libnvcv_cached.so lies");
  }
  return nb::steal(PyUnicode_DecodeFSDefault(info.dli_fname));
}

}  // namespace

void BindAllocator(nb::module_& module) {
  module.def("allocate", Allocate, nb::arg("size_bytes"), nb::arg("device"), nb::arg("stream"),
             "A pointer to so many bytes for work on that stream; MemoryError says why not.\n\n"
             "`device` is a GPU in this process's numbering, -1 the thread's device.");
  module.def("free", Free, nb::arg("pointer"), nb::arg("device"), nb::arg("stream"),
             "Gives back what `allocate` returned, after the work that the stream has now.");
  module.def("library_path", LibraryPath, nb::sig("def library_path() -> str"),
             "Where the C++ library was loaded from.");
}

}  // namespace nvcv_cached::python
