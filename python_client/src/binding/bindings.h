// The parts of the module; each adds its names.
#pragma once

#include <nanobind/nanobind.h>

#include <string_view>

namespace nvcv_cached {
class Stream;
}

namespace nvcv_cached::python {

namespace nb = nanobind;

void BindErrors();
void BindWaits();
void BindLog();
void BindDataTypes(nb::module_& module);
void BindLayouts(nb::module_& module);
void BindFormats(nb::module_& module);
void BindStreams(nb::module_& module);
void BindResources(nb::module_& module);
void BindTensors(nb::module_& module);
void BindImages(nb::module_& module);
void BindBatches(nb::module_& module);
void BindExternalItems(nb::module_& module);
void BindCache(nb::module_& module);
void BindAllocator(nb::module_& module);

// A str of text that need not be UTF-8: other bytes as \xNN. Needs the GIL.
nb::object TextOf(std::string_view text);

// Of classes whose members are their own instances; the collector must see that circle to end it.
extern PyType_Slot kMemberSlots[];

// Of a Stream, a torch, CuPy or Numba stream, or a handle.
Stream StreamOf(nb::handle object);

// Of an initialised Stream alone.
Stream CheckedStream(nb::handle object);

}  // namespace nvcv_cached::python
