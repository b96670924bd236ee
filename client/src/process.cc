#include "client/src/process.h"

#include <atomic>
#include <chrono>
#include <cstdlib>

#include "client/src/connection.h"
#include "client/src/fork_guard.h"
#include "client/src/process_connection.h"

namespace nvcv_cached::client {

namespace {

constexpr std::chrono::milliseconds kLongestGoodbye{1000};

std::atomic<LeaseSource*> installed{nullptr};

void SayGoodbye() {
  if (!IsForkedChild()) ProcessConnection().Leave(kLongestGoodbye);
}

}  // namespace

Connection& ProcessConnection() {
  static Connection* const connection = [] {
    auto* made = new Connection;
    std::atexit(SayGoodbye);
    return made;
  }();
  return *connection;
}

LeaseSource& Source() {
  if (LeaseSource* source = installed.load(std::memory_order_acquire)) return *source;
  return ProcessConnection();
}

void InstallSource(LeaseSource* source) { installed.store(source, std::memory_order_release); }

}  // namespace nvcv_cached::client
