// A client as a process of its own, for what ends or forks processes. The first argument says what
// it does; it prints one line and leaves. NVCV_CACHED_ADDRESS names the daemon.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "nvcv_cached/nvcv_cached.h"

namespace nc = nvcv_cached;

// It exits with objects alive on purpose.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

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
  if (what == "make") return Make();
  if (what == "make-as-nobody") return MakeAsNobody();
  if (what == "look") return Look();
  return 2;
} catch (const nc::Error& error) {
  std::cout << error.what() << std::endl;
  return 10 + static_cast<int>(error.code());
}
