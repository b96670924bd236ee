// A process that does what it is told, one line at a time: the frame of `probe` and `liar`.
//
//   in   <number> [@<thread>] <verb> <argument>...
//   out  {"n": <number>, ...}          the verb's answer, or {"n":, "error": kind, "text":}
//
// Verbs run on the named thread, without a name on the main thread, in the order in which they
// come; answers of different threads overtake each other, which is how a test waits for two things
// at once. "thread" and "halt" are obeyed at once, "join" and "exit" run on the main thread. End of
// input ends the process.
//
// Invariant: every line is answered exactly once, unless it ends the process.
// Thread-safety: On() before Run(); everything else is inside.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace nvcv_cached::e2e {

using Json = nlohmann::json;
using Args = std::vector<std::string>;

// What a verb throws to be answered as {"error": kind, "text": what()}.
class VerbError : public std::runtime_error {
 public:
  VerbError(std::string kind, const std::string& text)
      : std::runtime_error(text), kind_(std::move(kind)) {}
  const std::string& kind() const { return kind_; }

 private:
  std::string kind_;
};

class LineServer {
 public:
  using Verb = std::function<Json(const Args&)>;

  void On(const std::string& name, Verb verb) { verbs_[name] = std::move(verb); }

  // True after "halt", until the next "thread": what endless verbs look at.
  bool halted() const { return halted_.load(std::memory_order_relaxed); }

  // Runs the main thread's verbs. Returns the code given to "exit".
  int Run();

 private:
  struct Line {
    std::string number;
    Args words;
  };
  struct Worker {
    std::mutex mutex;
    std::condition_variable more;
    std::deque<Line> lines;
    bool closed = false;
    std::thread thread;

    void Push(Line line);
    bool Pop(Line* line);  // false: closed and empty
    void Close();
  };

  void Read();
  void Dispatch(const std::string& text);
  void Execute(const Line& line);
  void Answer(const std::string& number, Json answer);
  void Work(Worker* worker);

  std::map<std::string, Verb> verbs_;
  std::mutex workers_mutex_;
  std::map<std::string, std::unique_ptr<Worker>> workers_;
  Worker main_;
  std::mutex out_mutex_;
  std::atomic<bool> halted_ = false;
};

}  // namespace nvcv_cached::e2e
