// The library's side of wait_hooks.h: every public call that may wait for the daemon stands in a
// WaitScope.
//
// Invariant: no lock of the library is held where a WaitScope begins or ends, nor when
// WaitInterrupted is called: both may wait for an interpreter's lock, whose holder may want ours.
// Thread-safety: thread-safe; a scope belongs to its thread. Scopes may nest: the outermost counts.
#pragma once

#include <chrono>

namespace nvcv_cached::client {

// How long a wait may sleep between two looks at WaitInterrupted.
inline constexpr std::chrono::milliseconds kWaitSlice{50};

class WaitScope {
 public:
  WaitScope();
  ~WaitScope();
  WaitScope(const WaitScope&) = delete;
  WaitScope& operator=(const WaitScope&) = delete;

 private:
  void* begun_ = nullptr;
};

// The thread in this scope has been told to stop waiting: return CANCELLED.
bool WaitInterrupted();

}  // namespace nvcv_cached::client
