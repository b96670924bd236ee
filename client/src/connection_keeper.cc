// The connection's background thread: mends streams, closes sessions whose daemon is gone, looks
// for the next daemon, sends returns along; and the goodbye at the end of the process.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/src/connection.h"
#include "client/src/link.h"
#include "client/src/log.h"
#include "client/src/own_thread.h"
#include "client/src/session.h"

namespace nvcv_cached::client {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kReturnDelay{3};  // how long a return waits for a message to go with
constexpr milliseconds kAttemptTimeout{3000};

}  // namespace

absl::Status Connection::RunKeeper() {
  absl::StatusOr<std::thread> thread = StartThread("nvcv-keep", [this] {
    Keep();
    std::lock_guard lock(mutex_);
    keeper_stopped_ = true;
    changed_.notify_all();
  });
  if (!thread.ok()) return thread.status();
  thread->detach();
  keeper_runs_ = true;
  return absl::OkStatus();
}

void Connection::Keep() {
  std::unique_lock lock(mutex_);
  while (!leaving_) {
    std::shared_ptr<Link> link = link_;
    if (link != nullptr && link->broken()) {
      lock.unlock();
      MendOrClose(link);
      lock.lock();
      changed_.notify_all();
      continue;
    }
    int timeout_ms = -1;
    if (link == nullptr || link->closed()) {
      // No session: look for a daemon now and then.
      if (Clock::now() >= next_attempt_) {
        lock.unlock();
        absl::Status status = Ready(Clock::now() + kAttemptTimeout, Start::kNever).status();
        lock.lock();
        if (status.ok()) continue;
        next_attempt_ = Clock::now() + back_off_.Next();
      }
      timeout_ms =
          static_cast<int>(std::chrono::ceil<milliseconds>(next_attempt_ - Clock::now()).count());
      timeout_ms = std::max(timeout_ms, 1);
    }
    lock.unlock();
    pollfd wake{wake_.get(), POLLIN, 0};
    bool woken = ::poll(&wake, 1, timeout_ms) > 0;
    uint64_t count = 0;
    if (woken && ::read(wake_.get(), &count, sizeof(count)) > 0 && link != nullptr &&
        !link->broken() && !link->closed()) {
      // Something came back: give an acquire the chance to take it along.
      pollfd more{wake_.get(), POLLIN, 0};
      ::poll(&more, 1, static_cast<int>(kReturnDelay.count()));
      link->FlushReturned();
      link->SendUnmapped();
    }
    lock.lock();
  }
}

void Connection::MendOrClose(const std::shared_ptr<Link>& link) {
  BackOff back_off;
  const absl::Status end = link->end_status();
  // A stream that broke may be resumed; one that the daemon ended for a reason, or that lied, may
  // not.
  bool mendable = absl::IsUnavailable(end) || absl::IsInternal(end) || absl::IsUnknown(end);
  while (mendable) {
    {
      std::lock_guard lock(mutex_);
      if (leaving_) return;
    }
    if (!link->session().PeerIsOpen()) break;
    absl::Status status = link->Resume(Clock::now() + kAttemptTimeout);
    if (status.ok()) {
      Log(LogLevel::kInfo, "the session's stream broke and was resumed");
      return;
    }
    mendable =
        absl::IsAborted(status) || absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
    pollfd wake{wake_.get(), POLLIN, 0};
    ::poll(&wake, 1, static_cast<int>(back_off.Next().count()));
    uint64_t count = 0;
    [[maybe_unused]] ssize_t drained = ::read(wake_.get(), &count, sizeof(count));
  }
  Log(LogLevel::kInfo,
      absl::StrCat("the daemon is gone: ", end.message(), "; looking for a new one"));
  link->Close();
  std::lock_guard lock(mutex_);
  back_off_.Reset();
  next_attempt_ = Clock::now();
}

void Connection::Leave(milliseconds patience) {
  const Deadline deadline = Clock::now() + patience;
  std::shared_ptr<Link> link;
  {
    std::unique_lock lock(mutex_);
    if (leaving_) return;
    leaving_ = true;
    changed_.notify_all();
    Wake();
    if (keeper_runs_) {
      changed_.wait_until(lock, Clock::now() + patience / 2, [&] { return keeper_stopped_; });
      if (!keeper_stopped_)
        return;  // it is in the middle of something: the kernel says goodbye for us
    }
    link = link_;
  }
  if (link != nullptr) {
    link->Leave(std::chrono::duration_cast<milliseconds>(deadline - Clock::now()));
  }
}

}  // namespace nvcv_cached::client
