#include "client/src/own_thread.h"

#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/errors.h"

namespace nvcv_cached::client {

absl::StatusOr<std::thread> StartThread(const char* name, std::function<void()> run) {
  // A thread begins with its maker's mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  absl::StatusOr<std::thread> thread;
  try {
    thread = std::thread([name, run = std::move(run)] {
      pthread_setname_np(pthread_self(), name);
      run();
    });
  } catch (const std::system_error& error) {
    thread = WithHint(absl::ResourceExhaustedError(
                          absl::StrCat("asked a thread for ", name, "; found: ", error.what())),
                      "raise this user's or container's limit of threads (ulimit -u, pids.max)");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace nvcv_cached::client
