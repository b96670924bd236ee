// What the daemon's exit says to whoever started it; operators' scripts and units rely on it.
#pragma once

namespace nvcv_cached::server {

enum ExitCode {
  kStopped = 0,   // asked to stop
  kFailed = 1,    // failure while running
  kUsage = 2,     // bad flag or setting
  kAnother = 3,   // another daemon on this device
  kNoDevice = 4,  // no usable device
  kNoRight = 5    // no right to socket or lock
};

}  // namespace nvcv_cached::server
