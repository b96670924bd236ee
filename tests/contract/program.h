// A random program over all classes of the cache, on threads of several processes, against the
// model (C1 to C7, C9, L1).
//
// After every step the daemon's books and the client's count of what has no memory are the model's;
// after some, and after every clear and limit, the thread that did it reads the same through the
// API, for itself and for its process. The daemon runs in this process, on a clock that goes by the
// program's steps. What differs is thrown (model.h). Thread-safety: none.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/contract/model.h"
#include "tests/contract/process.h"
#include "tests/contract/step_clock.h"
#include "tests/rpc/local_daemon.h"

namespace nvcv_cached::contract {

inline constexpr uint64_t kMiB = 1024 * kKiB;
// Few enough items that one search of the daemon's for the oldest idle lease sees them all.
inline constexpr uint64_t kMostCached = 12 * kMiB;

struct Worker {
  std::unique_ptr<Process> process;
  server::SessionId session = 0;  // 0: it has borrowed nothing yet
  std::map<int, ThreadId> threads;
};

class Program {
 public:
  explicit Program(uint64_t seed);
  void Step();
  void CheckAll();

  // The pool grew once for each session's first lease at most; growing takes idle memory back.
  void CheckPremise();

  const std::map<std::string, uint64_t>& done() const { return done_; }

  // The command of the last step, for whoever looks into a difference.
  std::string Last() const;

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  template <class T>
  const T& OneOf(const std::vector<T>& of) {
    return of[Below(of.size())];
  }

  // ---- processes and threads

  void Spawn();
  void StartThread(ProcessId id, Worker& worker, int place);
  void EndProcess();

  uint32_t SessionsOf(const Worker& worker) const { return worker.session != 0; }

  void ChangeThreads(Worker& worker);

  // ---- the operator's part

  void ChangeDaemon();

  // ---- a thread's part

  std::vector<int> FreePlaces();

  template <class F>
  std::vector<int> PlacesWhere(F&& holds) {
    std::vector<int> places;
    for (const auto& [at, object] : model_.process(id_).objects) {
      if (holds(object)) places.push_back(at);
    }
    return places;
  }

  std::vector<int> PlacesOf(std::initializer_list<Class> kinds);
  void Do();
  void Make();
  void Reshape();
  void Push();
  void Empty();
  void Drop();
  void Limit();
  void Clear();

  // ---- after each step

  static std::string Text(const Counts& counts);
  static void Same(const char* whose, const Counts& found, const Counts& expected);
  void Check();

  // A process has a session from its first miss on.
  server::ScopeReport BooksOf(Worker& worker, const Hits& hits);
  static void Same(const Hits& found, const Hits& expected);
  static std::string Text(const Hits& hits);
  void CheckDaemon();

  std::mt19937_64 random_;
  UniqueFd clock_fd_;
  StepClock steps_;
  server::testing::LocalDaemon daemon_;
  Model model_;
  std::map<ProcessId, Worker> workers_;
  ProcessId next_process_ = 1;
  ThreadId next_thread_ = 1;
  std::set<server::SessionId> sessions_;  // of all workers so far
  std::map<std::string, uint64_t> done_;

  // of the step that is going on
  ProcessId id_ = 0;
  std::pair<int, ThreadId> thread_;
  Command command_;
  Reply reply_;
};

}  // namespace nvcv_cached::contract
