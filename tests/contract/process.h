// A worker of the random program, as its driver holds it: a process that does what it is told.
// Thread-safety: none.
#pragma once

#include <sys/types.h>

#include <array>
#include <string>

#include "proto/unique_fd.h"
#include "tests/contract/protocol.h"

namespace nvcv_cached::contract {

class Process {
 public:
  // contract_worker, which lies beside this program, is given the daemon's socket by its
  // environment and the clock (step_clock.h) as a descriptor. Throws system_error.
  Process(const std::string& daemon_socket, const UniqueFd& clock);
  ~Process();  // killed, unless it is over
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // On a thread of it (0 to kThreads - 1). Throws when the worker says an error or is gone.
  Reply Do(int thread, const Command& command);
  void Start(int thread);
  void Leave(int thread);  // and is joined
  uint64_t Look();

  int Exit();  // with all its objects alive; the status of wait
  void Kill();

 private:
  Reply Ask(const UniqueFd& socket, const Command& command);
  int Wait();

  std::array<UniqueFd, kThreads + 1> sockets_;  // the main thread's first
  pid_t pid_ = -1;
};

}  // namespace nvcv_cached::contract
