// The GIL is held on the hit path, given up where the library waits, and Ctrl-C ends such a wait.
#include "bindings.h"
#include "nvcv_cached/wait_hooks.h"

namespace nvcv_cached::python {
namespace {

// A thread without the GIL (a foreign deleter's, or one that gave it up) has nothing to give.
void* GiveUpGil() { return PyGILState_Check() ? PyEval_SaveThread() : nullptr; }

void TakeGilBack(void* begun) { PyEval_RestoreThread(static_cast<PyThreadState*>(begun)); }

bool SignalRaised() {
  if (!Py_IsInitialized()) return false;
  PyGILState_STATE state = PyGILState_Ensure();
  bool raised = PyErr_CheckSignals() != 0;  // leaves its exception set for Translate in errors.cc
  PyGILState_Release(state);
  return raised;
}

}  // namespace

void BindWaits() {
  set_wait_hooks({.begin = GiveUpGil, .end = TakeGilBack, .interrupted = SignalRaised});
}

}  // namespace nvcv_cached::python
