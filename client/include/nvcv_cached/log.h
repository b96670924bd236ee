/// @file
/// What the library says to people beside its exceptions: a line on stderr, or whatever a sink makes of it.
///
/// NVCV_CACHED_LOG chooses how much: off, error, warn (the default), info or debug.
/// Thread-safety: thread-safe.
#pragma once

#include "nvcv_cached/export.h"

namespace nvcv_cached {

/// How much a line matters.
enum class LogLevel {
  kError = 1,    ///< something failed that nobody is told of by an exception
  kWarning = 2,  ///< it works, and not as it was meant
  kInfo = 3,     ///< connections that come and go
  kDebug = 4,    ///< for those who look for a fault
};

/// Takes every line from here on, without its end, in place of stderr; nullptr puts stderr back. It is called on
/// any thread, also with locks of the library held: it must not throw, must not call the library, and must not wait
/// for anybody who does. `text` lives as long as the call.
using LogSink = void (*)(LogLevel level, const char* text);

/// For the whole process, at any time.
NVCV_CACHED_API void set_log_sink(LogSink sink);

}  // namespace nvcv_cached
