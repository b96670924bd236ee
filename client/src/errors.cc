#include "client/src/errors.h"

#include <cstdlib>
#include <optional>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace nvcv_cached::client {

namespace {

constexpr char kHintUrl[] = "nvcv_cached/hint";
constexpr char kCodeUrl[] = "nvcv_cached/error_code";

ErrorCode CodeOf(const absl::Status& status) {
  if (auto forced = status.GetPayload(kCodeUrl); forced.has_value()) {
    int code = 0;
    if (absl::SimpleAtoi(std::string(*forced), &code)) return static_cast<ErrorCode>(code);
  }
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return ErrorCode::kInvalidArgument;
    case absl::StatusCode::kResourceExhausted:
      return ErrorCode::kOutOfMemory;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
      return ErrorCode::kUnavailable;
    case absl::StatusCode::kDeadlineExceeded:
      return ErrorCode::kDeadlineExceeded;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return ErrorCode::kPermissionDenied;
    case absl::StatusCode::kFailedPrecondition:
      return ErrorCode::kVersionMismatch;
    case absl::StatusCode::kUnimplemented:
      return ErrorCode::kDeviceError;
    default:
      return ErrorCode::kInternal;
  }
}

}  // namespace

absl::Status WithHint(absl::Status status, std::string_view hint) {
  if (!hint.empty())
    status.SetPayload(kHintUrl, absl::Cord(absl::string_view(hint.data(), hint.size())));
  return status;
}

std::string HintOf(const absl::Status& status) {
  auto hint = status.GetPayload(kHintUrl);
  return hint.has_value() ? std::string(*hint) : std::string();
}

absl::Status ForceCode(absl::Status status, ErrorCode code) {
  status.SetPayload(kCodeUrl, absl::Cord(absl::StrCat(static_cast<int>(code))));
  return status;
}

void ThrowStatus(const absl::Status& status) {
  std::string message(status.message());
  std::string hint = HintOf(status);
  // Texts of the contract's own functions carry what to do as their tail.
  if (size_t tail = message.rfind("; do: "); hint.empty() && tail != std::string::npos) {
    hint = message.substr(tail + 6);
    message.resize(tail);
  }
  switch (CodeOf(status)) {
    case ErrorCode::kInvalidArgument:
      throw InvalidArgument(message, hint);
    case ErrorCode::kOutOfMemory:
      throw OutOfMemory(message, hint);
    case ErrorCode::kQuotaExceeded:
      throw QuotaExceeded(message, hint);
    case ErrorCode::kUnavailable:
      throw Unavailable(message, hint);
    case ErrorCode::kDeadlineExceeded:
      throw DeadlineExceeded(message, hint);
    case ErrorCode::kPermissionDenied:
      throw PermissionDenied(message, hint);
    case ErrorCode::kVersionMismatch:
      throw VersionMismatch(message, hint);
    case ErrorCode::kDeviceError:
      throw DeviceError(message, hint);
    case ErrorCode::kForked:
      throw Forked(message, hint);
    case ErrorCode::kOverflow:
      throw Overflow(message, hint);
    case ErrorCode::kUnderflow:
      throw Underflow(message, hint);
    case ErrorCode::kNotImplemented:
      throw NotImplemented(message, hint);
    case ErrorCode::kInternal:
      break;
  }
  throw Error(ErrorCode::kInternal, message, hint);
}

}  // namespace nvcv_cached::client
