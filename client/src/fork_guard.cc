#include "client/src/fork_guard.h"

#include <pthread.h>
#include <unistd.h>

#include <mutex>
#include <string>

#include "nvcv_cached/error.h"

namespace nvcv_cached::client {
namespace internal {
std::atomic<int> forked_from{0};
}  // namespace internal

namespace {
std::atomic<int> armed_pid{0};

void MarkChild() {
  // A fork of a fork still names the process that made the objects.
  if (internal::forked_from.load(std::memory_order_relaxed) == 0) {
    internal::forked_from.store(armed_pid.load(std::memory_order_relaxed),
                                std::memory_order_relaxed);
  }
}
}  // namespace

void ArmForkGuard() {
  static const bool armed = [] {
    armed_pid.store(getpid(), std::memory_order_relaxed);
    pthread_atfork(nullptr, nullptr, MarkChild);
    return true;
  }();
  static_cast<void>(armed);
}

void ThrowForked() {
  throw Forked("created in pid " + std::to_string(internal::forked_from.load()) +
                   ", used in its fork " + std::to_string(getpid()),
               "multiprocessing.set_start_method(\"spawn\"), "
               "DataLoader(multiprocessing_context=\"spawn\")");
}

}  // namespace nvcv_cached::client
