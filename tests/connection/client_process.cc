// A client as a process of its own, for what ends or forks processes. The first argument says what
// it does; it prints one line and leaves. NVCV_CACHED_ADDRESS names the daemon.
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "nvcv_cached/nvcv_cached.h"

namespace nc = nvcv_cached;

// It exits with objects alive on purpose.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

namespace {

int no_threads_left = -1;  // -1: as many as wanted
}  // namespace

// The library's own threads are std::thread's; gRPC's are not, and go on.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto next = reinterpret_cast<Create>(::dlsym(RTLD_NEXT, "pthread_create"));
  Dl_info caller{};
  if (no_threads_left >= 0 && ::dladdr(__builtin_return_address(0), &caller) != 0 &&
      std::strstr(caller.dli_fname, "libstdc++") != nullptr) {
    if (no_threads_left == 0) return EAGAIN;
    --no_threads_left;
  }
  return next(thread, attributes, run, argument);
}

namespace {

std::vector<nc::Buffer>& Static() {  // destroyed after the library's goodbye, or before it
  static std::vector<nc::Buffer> buffers;
  return buffers;
}

int ExitWithLiveObjects() {
  Static().emplace_back(4096);
  auto* leaked = new nc::Buffer(4096);
  std::memset(leaked->data(), 1, 4096);
  std::cout << "made 2" << std::endl;
  return 0;
}

// The child gets an error on use, and neither its destructors nor its exit touch the parent's
// session.
int Fork() {
  nc::Buffer buffer(4096);
  std::memset(buffer.data(), 7, 4096);
  char* data = static_cast<char*>(buffer.data());
  pid_t child = ::fork();
  if (child == 0) {
    if (data[4095] != 7) ::_exit(3);  // an inherited view still reads
    { nc::Buffer dropped = std::move(buffer); }
    try {
      nc::Buffer fresh(4096);
    } catch (const nc::Forked& error) {
      std::cout << error.what() << std::endl;
      std::exit(0);  // runs what atexit has
    }
    ::_exit(4);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  nc::Buffer after(4096);
  std::memset(after.data(), 1, 4096);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

// A fork before the first connect is fine.
int ForkFirst() {
  (void)nc::stats();
  pid_t child = ::fork();
  nc::Buffer buffer(4096);
  std::memset(buffer.data(), 1, 4096);
  if (child == 0) return 0;
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

// A fork after a first connect that failed is fine: both find the daemon that is there by then.
int ForkAfterFailure() {
  try {
    nc::Buffer none(4096);
    return 3;
  } catch (const nc::Unavailable&) {
    std::cout << "failed" << std::endl;
  }
  pid_t child = ::fork();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (true) {
    try {
      nc::Buffer buffer(4096);
      std::memset(buffer.data(), 1, 4096);
      break;
    } catch (const nc::Unavailable&) {
      if (std::chrono::steady_clock::now() > deadline) return 4;
    }
  }
  if (child == 0) return 0;
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

// The kernel gives no thread: an error, and the caller's signals are as they were.
int NoThreads() {
  {
    no_threads_left = 0;
    try {
      nc::Buffer none(4096);
      return 3;
    } catch (const nc::OutOfMemory& error) {
      std::cout << error.what() << std::endl;
    }
    no_threads_left = 1;  // the stream's reader, but no keeper
    try {
      nc::Buffer none(4096);
      return 4;
    } catch (const nc::OutOfMemory& error) {
      std::cout << error.what() << std::endl;
    }
  }
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  if (sigismember(&blocked, SIGTERM) == 1) return 5;
  no_threads_left = -1;
  nc::Buffer buffer(4096);
  std::memset(buffer.data(), 1, 4096);
  return 0;
}

int MakeOnTwoThreads() {
  std::atomic<int> made{0};
  auto make = [&] {
    try {
      nc::Buffer buffer(4096);
      ++made;
    } catch (const nc::Error& error) {
      std::cout << error.what() << std::endl;
    }
  };
  std::thread one(make), two(make);
  one.join();
  two.join();
  return made == 2 ? 0 : 1;
}

int Make() {
  nc::Buffer buffer(4096);
  std::memset(buffer.data(), 1, 4096);
  std::cout << "made 1" << std::endl;
  return 0;
}

int MakeAsNobody() {
  if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) return 77;
  return Make();
}

int Look() {
  nc::Stats stats = nc::stats();
  std::cout << stats.cache_items << " " << nc::cache_size(nc::Scope::kDaemon) << " "
            << (nc::get_cache_limit_inbytes() > 0) << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "";
  Static();
  if (what == "exit-with-live-objects") return ExitWithLiveObjects();
  if (what == "fork") return Fork();
  if (what == "fork-first") return ForkFirst();
  if (what == "fork-after-failure") return ForkAfterFailure();
  if (what == "no-threads") return NoThreads();
  if (what == "make-on-two-threads") return MakeOnTwoThreads();
  if (what == "make") return Make();
  if (what == "make-as-nobody") return MakeAsNobody();
  if (what == "look") return Look();
  return 2;
} catch (const nc::Error& error) {
  std::cout << error.what() << std::endl;
  return 10 + static_cast<int>(error.code());
}
