// nvcv_cached._core: a table of names over the C++ library. Python sees it through
// nvcv_cached/__init__.py.
#include <cstdlib>

#include "bindings.h"

namespace {

int VisitClass(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return 0;
}

}  // namespace

PyType_Slot nvcv_cached::python::kMemberSlots[] = {
    {Py_tp_traverse, reinterpret_cast<void*>(VisitClass)}, {0, nullptr}};

NB_MODULE(_core, module) {
  namespace python = nvcv_cached::python;
  // Exit with live objects and views is quiet; the tests ask to hear of leaks.
  const char* leaks = std::getenv("NVCV_CACHED_LEAK_WARNINGS");
  nanobind::set_leak_warnings(leaks != nullptr && *leaks == '1');
  module.def(
      "version", [] { return NVCV_CACHED_VERSION; }, "Of this package.");
  python::BindErrors();
  python::BindWaits();
  python::BindLog();
  python::BindDataTypes(module);
  python::BindLayouts(module);
  python::BindFormats(module);
  python::BindStreams(module);
  python::BindResources(module);
  python::BindTensors(module);
  python::BindImages(module);
  python::BindBatches(module);
  python::BindExternalItems(module);
  python::BindCache(module);
  python::BindAllocator(module);
}
