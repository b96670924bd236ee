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
std::atomic<bool> armed{false};
std::atomic<int> attempts{0};
std::atomic<int> forking_pid{0};

void NoteParent() { forking_pid.store(getpid(), std::memory_order_relaxed); }

void MarkChild() {
  if (!armed.load(std::memory_order_relaxed) && attempts.load(std::memory_order_relaxed) == 0) {
    return;
  }
  // A fork of a fork still names the process that made the objects.
  if (internal::forked_from.load(std::memory_order_relaxed) == 0) {
    internal::forked_from.store(forking_pid.load(std::memory_order_relaxed),
                                std::memory_order_relaxed);
  }
}

void WatchForks() {
  static const bool watching = [] {
    pthread_atfork(NoteParent, nullptr, MarkChild);
    return true;
  }();
  static_cast<void>(watching);
}
}  // namespace

void ArmForkGuard() {
  WatchForks();
  armed.store(true, std::memory_order_relaxed);
}

ConnectAttempt::ConnectAttempt() {
  WatchForks();
  attempts.fetch_add(1, std::memory_order_relaxed);
}

ConnectAttempt::~ConnectAttempt() { attempts.fetch_sub(1, std::memory_order_relaxed); }

void ThrowForked() {
  throw Forked("created in pid " + std::to_string(internal::forked_from.load()) +
                   ", used in its fork " + std::to_string(getpid()),
               "multiprocessing.set_start_method(\"spawn\"), "
               "DataLoader(multiprocessing_context=\"spawn\")");
}

}  // namespace nvcv_cached::client
