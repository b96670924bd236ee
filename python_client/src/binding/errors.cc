// From the library's exceptions to the classes of nvcv_cached/errors.py.
#include <exception>
#include <string_view>

#include "bindings.h"
#include "nvcv_cached/error.h"

namespace nvcv_cached::python {
namespace {

const char* ClassName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "InvalidArgument";
    case ErrorCode::kOutOfMemory:
      return "OutOfMemory";
    case ErrorCode::kQuotaExceeded:
      return "QuotaExceeded";
    case ErrorCode::kUnavailable:
      return "Unavailable";
    case ErrorCode::kDeadlineExceeded:
      return "DeadlineExceeded";
    case ErrorCode::kPermissionDenied:
      return "PermissionDenied";
    case ErrorCode::kVersionMismatch:
      return "VersionMismatch";
    case ErrorCode::kDeviceError:
      return "DeviceError";
    case ErrorCode::kForked:
      return "Forked";
    case ErrorCode::kOverflow:
      return "Overflow";
    case ErrorCode::kUnderflow:
      return "Underflow";
    case ErrorCode::kNotImplemented:
      return "NotImplemented";
    case ErrorCode::kInternal:
      break;
  }
  return "Error";
}

void Translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    if (PyErr_Occurred() != nullptr) return;  // a signal handler's, which ended the wait (waits.cc)
    nb::module_ errors = nb::module_::import_("nvcv_cached.errors");
    nb::object type = errors.attr(ClassName(error.code()));
    nb::object value = type(TextOf(error.what()));
    value.attr("hint") = TextOf(error.hint());
    PyErr_SetObject(type.ptr(), value.ptr());
  }
}

}  // namespace

nb::object TextOf(std::string_view text) {
  return nb::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

void BindErrors() { nb::register_exception_translator(Translate); }

}  // namespace nvcv_cached::python
