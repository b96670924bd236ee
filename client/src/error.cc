#include "nvcv_cached/error.h"

#include <utility>

namespace nvcv_cached {
namespace {

// Texts that NVCV has a status for begin with its name.
std::string Text(ErrorCode code, const std::string& message, const std::string& hint) {
  std::string text;
  if (code == ErrorCode::kInvalidArgument) text = "NVCV_ERROR_INVALID_ARGUMENT: ";
  if (code == ErrorCode::kOutOfMemory || code == ErrorCode::kQuotaExceeded) {
    text = "NVCV_ERROR_OUT_OF_MEMORY: ";
  }
  if (code == ErrorCode::kOverflow) text = "NVCV_ERROR_OVERFLOW: ";
  if (code == ErrorCode::kUnderflow) text = "NVCV_ERROR_UNDERFLOW: ";
  if (code == ErrorCode::kNotImplemented) text = "NVCV_ERROR_NOT_IMPLEMENTED: ";
  if (code == ErrorCode::kInternal) text = "NVCV_ERROR_INTERNAL: ";
  if (message.compare(0, text.size(), text) == 0) text.clear();
  text += message;
  if (!hint.empty()) text += "; do: " + hint;
  return text;
}

}  // namespace

Error::Error(ErrorCode code, const std::string& message, std::string hint)
    : std::runtime_error(Text(code, message, hint)), code_(code), hint_(std::move(hint)) {}
Error::~Error() = default;

// Out of line, so that each type's information lives in this library alone and is seen across its
// border.
InvalidArgument::InvalidArgument(const std::string& message, std::string hint)
    : Error(ErrorCode::kInvalidArgument, message, std::move(hint)) {}
InvalidArgument::~InvalidArgument() = default;
OutOfMemory::OutOfMemory(const std::string& message, std::string hint)
    : Error(ErrorCode::kOutOfMemory, message, std::move(hint)) {}
OutOfMemory::~OutOfMemory() = default;
QuotaExceeded::QuotaExceeded(const std::string& message, std::string hint)
    : Error(ErrorCode::kQuotaExceeded, message, std::move(hint)) {}
QuotaExceeded::~QuotaExceeded() = default;
Unavailable::Unavailable(const std::string& message, std::string hint)
    : Error(ErrorCode::kUnavailable, message, std::move(hint)) {}
Unavailable::~Unavailable() = default;
DeadlineExceeded::DeadlineExceeded(const std::string& message, std::string hint)
    : Error(ErrorCode::kDeadlineExceeded, message, std::move(hint)) {}
DeadlineExceeded::~DeadlineExceeded() = default;
PermissionDenied::PermissionDenied(const std::string& message, std::string hint)
    : Error(ErrorCode::kPermissionDenied, message, std::move(hint)) {}
PermissionDenied::~PermissionDenied() = default;
VersionMismatch::VersionMismatch(const std::string& message, std::string hint)
    : Error(ErrorCode::kVersionMismatch, message, std::move(hint)) {}
VersionMismatch::~VersionMismatch() = default;
DeviceError::DeviceError(const std::string& message, std::string hint)
    : Error(ErrorCode::kDeviceError, message, std::move(hint)) {}
DeviceError::~DeviceError() = default;
Forked::Forked(const std::string& message, std::string hint)
    : Error(ErrorCode::kForked, message, std::move(hint)) {}
Forked::~Forked() = default;
Overflow::Overflow(const std::string& message, std::string hint)
    : Error(ErrorCode::kOverflow, message, std::move(hint)) {}
Overflow::~Overflow() = default;
Underflow::Underflow(const std::string& message, std::string hint)
    : Error(ErrorCode::kUnderflow, message, std::move(hint)) {}
Underflow::~Underflow() = default;
NotImplemented::NotImplemented(const std::string& message, std::string hint)
    : Error(ErrorCode::kNotImplemented, message, std::move(hint)) {}
NotImplemented::~NotImplemented() = default;

}  // namespace nvcv_cached
