// The library's lines go to Python's logger `nvcv_cached`.
//
// The library logs on any thread and with its locks held, so nothing here waits for the GIL: a line
// is handed to the interpreter as a pending call, which its main thread makes soon. Where there is
// no interpreter for it any more, it goes to stderr.
#include "nvcv_cached/log.h"

#include <unistd.h>

#include <memory>
#include <string>

#include "bindings.h"

namespace nvcv_cached::python {
namespace {

struct Line {
  LogLevel level;
  std::string text;
};

const char* MethodOf(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      break;
  }
  return "debug";
}

void ToStderr(const Line& line) {
  const std::string shown = "nvcv-cached: " + line.text + "\n";
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, shown.data(), shown.size());
}

// In the main thread, which holds the GIL and may have any work interrupted for this: errors of
// loggers are not its errors.
int Deliver(void* argument) {
  const std::unique_ptr<Line> line(static_cast<Line*>(argument));
  try {
    nb::object logger = nb::module_::import_("logging").attr("getLogger")("nvcv_cached");
    logger.attr(MethodOf(line->level))("%s", TextOf(line->text));
  } catch (nb::python_error& error) {
    error.discard_as_unraisable("nvcv_cached's logger");
  }
  return 0;
}

void Sink(LogLevel level, const char* text) {
  auto line = std::make_unique<Line>(Line{level, text});
  if (Py_IsInitialized() && Py_AddPendingCall(Deliver, line.get()) == 0) {
    line.release();
    return;
  }
  ToStderr(*line);
}

}  // namespace

void BindLog() { set_log_sink(Sink); }

}  // namespace nvcv_cached::python
