// The fake daemon as a program, for what needs a process: being started, being stopped. It takes
// the flags that an autostart gives, keeps one daemon per socket by a lock as the real one does
// (exit code 3), and writes its pid to <socket>.pid.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iostream>
#include <string>

#include "tests/connection/fake_daemon.h"

extern char** environ;

int main(int argc, char** argv) {
  std::string path;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], "--socket") == 0) path = argv[i + 1];
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, "NVCV_CACHED_", 12) == 0)
      std::cerr << "inherited " << *variable << "\n";
  }
  if (::fcntl(20, F_GETFD) != -1) std::cerr << "inherited descriptor 20\n";
  std::cerr << "flags";
  for (int i = 1; i < argc; ++i) std::cerr << " " << argv[i];
  std::cerr << "\nsession " << ::getsid(0) << " parent " << ::getppid() << std::endl;

  int lock = ::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || ::flock(lock, LOCK_EX | LOCK_NB) != 0) return 3;
  std::ofstream(path + ".pid") << ::getpid() << std::endl;

  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  nvcv_cached::testing::FakeDaemon daemon(path, 1);
  int signal = 0;
  sigwait(&ends, &signal);
}
