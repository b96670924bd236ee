// The GIL is held on the hit path, given up where the library waits, and Ctrl-C ends such a wait.
#include <cxxabi.h>
#include <unistd.h>

#include "bindings.h"
#include "nvcv_cached/wait_hooks.h"

namespace nvcv_cached::python {
namespace {

// A thread without the GIL (a foreign deleter's, or one that gave it up) has nothing to give.
void* GiveUpGil() { return PyGILState_Check() ? PyEval_SaveThread() : nullptr; }

// Once the interpreter is going down, Python before 3.14 ends a thread that wants the GIL by
// unwinding it, which C++ answers with std::terminate. Such a thread stays where it is, as
// from 3.14 on.
template <class F>
auto OrStay(F want_gil) {
  try {
    return want_gil();
  } catch (abi::__forced_unwind&) {
    for (;;) ::pause();
  }
}

void TakeGilBack(void* begun) {
  OrStay([begun] { PyEval_RestoreThread(static_cast<PyThreadState*>(begun)); });
}

bool SignalRaised() {
  if (!Py_IsInitialized()) return false;
  PyGILState_STATE state = OrStay([] { return PyGILState_Ensure(); });
  bool raised = PyErr_CheckSignals() != 0;  // leaves its exception set for Translate in errors.cc
  PyGILState_Release(state);
  return raised;
}

}  // namespace

void BindWaits() {
  set_wait_hooks({.begin = GiveUpGil, .end = TakeGilBack, .interrupted = SignalRaised});
}

}  // namespace nvcv_cached::python
