// Looks at daemons all the time: a thread for each, which follows the stream of its statistics and
// comes back when the daemon does. What it finds is taken by Take(); event_fd() is readable when
// there is something. Thread-safety: thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "client/cli/daemons.h"
#include "client/cli/top_state.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::cli {

class TopFeed {
 public:
  // A sample, or why there is none.
  struct News {
    std::string socket;
    std::variant<TopSample, std::string> what;
  };

  TopFeed(const std::vector<std::string>& sockets, std::chrono::milliseconds timeout,
          std::chrono::milliseconds interval);
  ~TopFeed();  // ends the streams; waits for a call that is under way, at most its timeout
  TopFeed(const TopFeed&) = delete;
  TopFeed& operator=(const TopFeed&) = delete;

  int event_fd() const { return event_.get(); }
  std::vector<News> Take();
  // Waits until there is something to take, at most this long.
  void Wait(std::chrono::milliseconds longest);

  // What the next looks bring beside statistics and sessions.
  struct Wanted {
    bool slabs = false;
    std::optional<TopChoice> leases;
  };
  void Want(Wanted wanted);

 private:
  void Run(const std::string& socket);
  void Follow(const std::string& socket);
  void Put(News news);

  const std::chrono::milliseconds timeout_, interval_;
  UniqueFd event_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<News> news_ ABSL_GUARDED_BY(mutex_);
  Wanted wanted_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, grpc::ClientContext*> streams_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace nvcv_cached::cli
