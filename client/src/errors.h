// From absl::Status inside to the exceptions of nvcv_cached/error.h at the library's border.
//
// A status says what was asked and what was found; what to do travels beside it as a hint. The code
// decides the class, but for what ForceCode names. Pure functions, thread-safe.
//
//   RESOURCE_EXHAUSTED  OutOfMemory        UNAVAILABLE          Unavailable
//   INVALID_ARGUMENT    InvalidArgument    DEADLINE_EXCEEDED    DeadlineExceeded
//   OUT_OF_RANGE        InvalidArgument    PERMISSION_DENIED    PermissionDenied
//   UNIMPLEMENTED       DeviceError        FAILED_PRECONDITION  VersionMismatch
#pragma once

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nvcv_cached/error.h"

namespace nvcv_cached::client {

absl::Status WithHint(absl::Status status, std::string_view hint);
std::string HintOf(const absl::Status& status);

absl::Status ForceCode(absl::Status status, ErrorCode code);

// `status` is not OK.
[[noreturn]] void ThrowStatus(const absl::Status& status);

inline void ThrowUnlessOk(const absl::Status& status) {
  if (!status.ok()) ThrowStatus(status);
}

template <class T>
T ValueOrThrow(absl::StatusOr<T> value) {
  if (!value.ok()) ThrowStatus(value.status());
  return *std::move(value);
}

}  // namespace nvcv_cached::client
