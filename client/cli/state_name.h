// "serving": a daemon's state as people, JSON and labels have it. Pure.
#pragma once

#include <string>

#include "absl/strings/ascii.h"
#include "nvcv_cached/v1/admin.pb.h"

namespace nvcv_cached::cli {

inline std::string StateName(v1::DaemonState state) {
  return v1::DaemonState_IsValid(state) ? absl::AsciiStrToLower(v1::DaemonState_Name(state))
                                        : "failed";
}

}  // namespace nvcv_cached::cli
