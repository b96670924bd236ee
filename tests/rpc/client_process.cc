// A client in a process of its own: client_process SOCKET COUNT BYTES [fork]
//
// Opens a session, acquires COUNT leases of BYTES, with `fork` forks a child that only waits,
// prints one line
// ("ready SESSION CHILD_PID") and then waits for the end of its standard input, after which it says
// goodbye.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "tests/rpc/raw_client.h"

int main(int argc, char** argv) {
  using nvcv_cached::server::testing::RawSession;
  if (argc < 4) return 2;
  RawSession session(argv[1]);
  if (!session.ok()) return 3;
  const bool exec = argc > 4 && std::strcmp(argv[4], "exec") == 0;
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    std::optional<nvcv_cached::v1::ServerMessage> answer =
        session.Acquire(std::strtoull(argv[3], nullptr, 10));
    if (!answer || !answer->has_grant()) return 4;
    if (i == 0 && exec) {
      const nvcv_cached::v1::Lease& lease = answer->grant().leases(0);
      nvcv_cached::lease_table::Release(session.table().slots[lease.slot()],
                                        nvcv_cached::lease_table::Word(lease.word()), std::nullopt,
                                        0);
    }
  }
  pid_t child = 0;
  if (argc > 4 && std::strcmp(argv[4], "fork") == 0) {
    child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
  }
  std::printf("ready %llu %d\n", static_cast<unsigned long long>(session.welcome().session_id()),
              child);
  std::fflush(stdout);
  if (exec) {
    ::execlp("sleep", "sleep", "60", nullptr);
    return 6;
  }
  char byte;
  while (::read(0, &byte, 1) > 0) {
  }
  session.Goodbye();
  return session.stream().Finish().ok() ? 0 : 5;
}
