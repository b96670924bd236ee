// The death watch: what the two descriptors of each session say, and what follows.
#include <sys/epoll.h>

#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/log/log_sink.h"
#include "server/log/logfmt.h"
#include "server/rpc/sessions.h"

namespace nvcv_cached::server {
namespace {

using std::chrono::steady_clock;

// How long after the end of its socket a process may take to exit before it is taken to live on.
constexpr std::chrono::milliseconds kExecGrace{500};
// Out of watches (fs.epoll.max_user_watches): when to try again.
constexpr std::chrono::seconds kWatchAgain{1};

}  // namespace

void Sessions::Keep(SessionId id, EventLoop::Id Entry::*member, EventLoop::Id watch) {
  {
    std::lock_guard lock(mutex_);
    auto found = sessions_.find(id);
    if (found != sessions_.end()) {
      found->second.*member = watch;
      return;
    }
  }
  death_watch_.Remove(watch);
}

absl::Status Sessions::Watch(const std::shared_ptr<Session>& session) {
  std::weak_ptr<Sessions> self = weak_from_this();
  const EventLoop::Id process =
      death_watch_.Add(session->process(), EPOLLIN | EPOLLONESHOT, [self, session](uint32_t) {
        if (auto sessions = self.lock()) sessions->OnProcessExited(session);
      });
  if (process == 0) return absl::ResourceExhaustedError("the process cannot be watched (epoll)");
  Keep(session->id(), &Entry::process, process);
  Keep(session->id(), &Entry::deadline,
       death_watch_.At(steady_clock::now() + options_.token_deadline, [self, session] {
         if (auto sessions = self.lock()) sessions->OnTokenDeadline(session);
       }));
  return absl::OkStatus();
}

// Without this watch the session would never be known to be over, so it is tried until it stands.
// Added and noted in one step: its events come on another thread, and remove what is noted.
void Sessions::WatchSocket(const std::shared_ptr<Session>& session, uint32_t events) {
  std::weak_ptr<Sessions> self = weak_from_this();
  const int socket = session->socket();
  std::lock_guard lock(mutex_);
  auto found = sessions_.find(session->id());
  if (found == sessions_.end()) return;
  EventLoop::Id watch = death_watch_.Add(socket, events, [self, session](uint32_t seen) {
    if (auto sessions = self.lock()) sessions->OnSocketEvent(session, seen);
  });
  if (watch == 0) {
    watch = death_watch_.At(steady_clock::now() + kWatchAgain, [self, session, events] {
      if (auto sessions = self.lock()) sessions->WatchSocket(session, events);
    });
  }
  found->second.socket = watch;
}

void Sessions::OnProcessExited(const std::shared_ptr<Session>& session) {
  const bool unconnected = session->CloseIfUnconnected();
  broker_.With([&](Books& books) {
    if (unconnected) books.SocketClosed(session->id());
    books.ProcessExited(session->id());
  });
}

void Sessions::OnSocketEvent(const std::shared_ptr<Session>& session, uint32_t events) {
  EventLoop::Id watch = 0;
  {
    std::lock_guard lock(mutex_);
    auto found = sessions_.find(session->id());
    if (found == sessions_.end()) return;
    watch = std::exchange(found->second.socket, 0);
  }
  death_watch_.Remove(watch);
  if ((events & (EPOLLHUP | EPOLLERR)) == 0) {
    // Bytes or a half-closed socket: the client broke the contract. From here on only the end is
    // waited for.
    WatchSocket(session, 0);
    session->Lose(
        absl::InvalidArgumentError("the client wrote to its descriptor socket after the token"));
    return;
  }
  session->CloseSocket();
  broker_.With([&](Books& books) { books.SocketClosed(session->id()); });
  session->EndStream(
      absl::UnavailableError("the descriptor socket was closed; do: begin a new session"));
  Keep(session->id(), &Entry::deadline,
       death_watch_.At(steady_clock::now() + kExecGrace, [self = weak_from_this(), session] {
         auto sessions = self.lock();
         if (!sessions || HasExited(session->peer())) return;
         sessions->broker_.With([&](Books& books) { books.SaidGoodbye(session->id()); });
       }));
}

void Sessions::OnTokenDeadline(const std::shared_ptr<Session>& session) {
  if (!session->CloseIfUnconnected()) return;
  session->Lose(absl::DeadlineExceededError(absl::StrCat(
      "the descriptor socket was not connected within ", options_.token_deadline.count(), " ms")));
  broker_.With([&](Books& books) {
    books.SocketClosed(session->id());
    books.SaidGoodbye(session->id());
  });
}

void Sessions::Forget(SessionId id) {
  Entry gone;
  {
    std::lock_guard lock(mutex_);
    auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    gone = std::move(found->second);
    sessions_.erase(found);
    if (!gone.token.empty()) tokens_.erase(gone.token);
  }
  for (EventLoop::Id watch : {gone.process, gone.socket, gone.deadline}) death_watch_.Remove(watch);
  Unreserve(gone.session->peer().uid);
  LogInfo(Event("session-end").With("id", id).With("pid", gone.session->peer().pid));
}

}  // namespace nvcv_cached::server
