/// @class nvcv_cached::WaitHooks
/// For bindings to other languages: what to do around a wait for the daemon.
///
/// A hit never waits, so a binding keeps its interpreter's lock on the hit path and gives it up only
/// here. The library calls `begin` and `end` with none of its own locks held, on the thread that
/// waits; `interrupted` several times a second during the wait, likewise. Set once, for the life of
/// the process. Thread-safety: thread-safe.
#pragma once

#include "nvcv_cached/export.h"

namespace nvcv_cached {

struct WaitHooks {
  void* (*begin)() = nullptr;          ///< before the wait; what it returns goes to `end`
  void (*end)(void* begun) = nullptr;  ///< takes what `begin` gave
  bool (*interrupted)() = nullptr;     ///< true: the call throws Unavailable at once
};

/// For the whole process; before its first object.
NVCV_CACHED_API void set_wait_hooks(const WaitHooks& hooks);

}  // namespace nvcv_cached
