// The library's own threads: they take none of the application's signals, and a process that may
// have no more threads gets an error instead of an exception. Thread-safe.
#pragma once

#include <functional>
#include <thread>

#include "absl/status/statusor.h"

namespace nvcv_cached::client {

// `name` has at most 15 characters. RESOURCE_EXHAUSTED: the kernel gives no thread.
absl::StatusOr<std::thread> StartThread(const char* name, std::function<void()> run);

}  // namespace nvcv_cached::client
