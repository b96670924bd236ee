/// @file
/// What goes wrong, as one family of exceptions. Every text says what was asked, what was found and
/// what to do, in numbers; texts that NVCV has a status for begin with its name
/// (NVCV_ERROR_OUT_OF_MEMORY: ...). The types are visible across the library's border: catch them by
/// reference. Immutable, thread-safe.
#pragma once

#include <stdexcept>
#include <string>

#include "nvcv_cached/export.h"

namespace nvcv_cached {

/// What kind of error it is; each but kInternal has a class of its own.
enum class ErrorCode {
  kInvalidArgument,   ///< the call itself is wrong: shapes, types, sizes, unknown layouts
  kOutOfMemory,       ///< no memory within the deadline; the text names the holders
  kQuotaExceeded,     ///< this session's quota
  kUnavailable,       ///< no daemon, or it went away; tensors you hold stay valid
  kDeadlineExceeded,  ///< the daemon is there and does not answer
  kPermissionDenied,  ///< socket, group, uid
  kVersionMismatch,   ///< no common protocol version
  kDeviceError,       ///< the driver's own words
  kForked,            ///< made before fork(), used in the child
  kOverflow,          ///< more than a batch's capacity
  kUnderflow,         ///< more popped than a batch holds
  kNotImplemented,    ///< block linear, or sub-sampled where planes must be alike: no memory for it
  kInternal,          ///< a bug in nvcv-cached
};

/// The base of all, and itself the class of kInternal.
class NVCV_CACHED_API Error : public std::runtime_error {
 public:
  /// what() is `message`, and `hint` after it.
  Error(ErrorCode code, const std::string& message, std::string hint = "");
  ~Error() override;
  ErrorCode code() const noexcept { return code_; }           ///< for programs
  const std::string& hint() const noexcept { return hint_; }  ///< what to do; part of what() too

 private:
  ErrorCode code_;
  std::string hint_;
};

/// An Error of code kInvalidArgument.
class NVCV_CACHED_API InvalidArgument final : public Error {
 public:
  explicit InvalidArgument(const std::string& message, std::string hint = "");  ///< see Error
  ~InvalidArgument() override;
};
/// An Error of code kOutOfMemory.
class NVCV_CACHED_API OutOfMemory final : public Error {
 public:
  explicit OutOfMemory(const std::string& message, std::string hint = "");  ///< see Error
  ~OutOfMemory() override;
};
/// An Error of code kQuotaExceeded.
class NVCV_CACHED_API QuotaExceeded final : public Error {
 public:
  explicit QuotaExceeded(const std::string& message, std::string hint = "");  ///< see Error
  ~QuotaExceeded() override;
};
/// An Error of code kUnavailable.
class NVCV_CACHED_API Unavailable final : public Error {
 public:
  explicit Unavailable(const std::string& message, std::string hint = "");  ///< see Error
  ~Unavailable() override;
};
/// An Error of code kDeadlineExceeded.
class NVCV_CACHED_API DeadlineExceeded final : public Error {
 public:
  explicit DeadlineExceeded(const std::string& message, std::string hint = "");  ///< see Error
  ~DeadlineExceeded() override;
};
/// An Error of code kPermissionDenied.
class NVCV_CACHED_API PermissionDenied final : public Error {
 public:
  explicit PermissionDenied(const std::string& message, std::string hint = "");  ///< see Error
  ~PermissionDenied() override;
};
/// An Error of code kVersionMismatch.
class NVCV_CACHED_API VersionMismatch final : public Error {
 public:
  explicit VersionMismatch(const std::string& message, std::string hint = "");  ///< see Error
  ~VersionMismatch() override;
};
/// An Error of code kDeviceError.
class NVCV_CACHED_API DeviceError final : public Error {
 public:
  explicit DeviceError(const std::string& message, std::string hint = "");  ///< see Error
  ~DeviceError() override;
};
/// An Error of code kForked.
class NVCV_CACHED_API Forked final : public Error {
 public:
  explicit Forked(const std::string& message, std::string hint = "");  ///< see Error
  ~Forked() override;
};
/// An Error of code kOverflow.
class NVCV_CACHED_API Overflow final : public Error {
 public:
  explicit Overflow(const std::string& message, std::string hint = "");  ///< see Error
  ~Overflow() override;
};
/// An Error of code kUnderflow.
class NVCV_CACHED_API Underflow final : public Error {
 public:
  explicit Underflow(const std::string& message, std::string hint = "");  ///< see Error
  ~Underflow() override;
};
/// An Error of code kNotImplemented.
class NVCV_CACHED_API NotImplemented final : public Error {
 public:
  explicit NotImplemented(const std::string& message, std::string hint = "");  ///< see Error
  ~NotImplemented() override;
};

}  // namespace nvcv_cached
