// The parts of the module; each adds its names.
#pragma once

#include <nanobind/nanobind.h>

namespace nvcv_cached {
class Stream;
}

namespace nvcv_cached::python {

namespace nb = nanobind;

void BindErrors();
void BindWaits();
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

// Of a Stream, a torch, CuPy or Numba stream, or a handle.
Stream StreamOf(nb::handle object);

// Of an initialised Stream alone.
Stream CheckedStream(nb::handle object);

}  // namespace nvcv_cached::python
