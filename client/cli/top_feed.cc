#include "client/cli/top_feed.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace nvcv_cached::cli {

namespace {
constexpr std::chrono::milliseconds kLookAgain{200};
}  // namespace

TopFeed::TopFeed(const std::vector<std::string>& sockets, std::chrono::milliseconds timeout,
                 std::chrono::milliseconds interval)
    : timeout_(timeout), interval_(interval), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) {
    throw Failure(ExitCode::kFailed, "no_descriptor",
                  std::string("top: eventfd: ") + std::strerror(errno), "ulimit -n 1024");
  }
  for (const std::string& socket : sockets) {
    threads_.emplace_back([this, socket] { Run(socket); });
  }
}

TopFeed::~TopFeed() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& [socket, context] : streams_) context->TryCancel();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::vector<TopFeed::News> TopFeed::Take() {
  std::lock_guard lock(mutex_);
  eventfd_t count;
  ::eventfd_read(event_.get(), &count);
  return std::exchange(news_, {});
}

void TopFeed::Wait(std::chrono::milliseconds longest) {
  pollfd waits{event_.get(), POLLIN, 0};
  ::poll(&waits, 1, static_cast<int>(longest.count()));
}

void TopFeed::Want(Wanted wanted) {
  std::lock_guard lock(mutex_);
  wanted_ = std::move(wanted);
}

void TopFeed::Put(News news) {
  std::lock_guard lock(mutex_);
  news_.push_back(std::move(news));
  ::eventfd_write(event_.get(), 1);
}

void TopFeed::Run(const std::string& socket) {
  while (true) {
    try {
      Follow(socket);
    } catch (const Failure& failure) {
      Put({socket, std::string(failure.what())});
    }
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, kLookAgain, [this] { return stopping_; })) return;
  }
}

void TopFeed::Follow(const std::string& socket) {
  const Daemon daemon(socket, timeout_);
  grpc::ClientContext context;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    streams_[socket] = &context;
  }
  v1::WatchRequest watch;
  watch.set_interval_ms(static_cast<uint32_t>(interval_.count()));
  const auto stream = daemon.stub().Watch(&context, watch);
  std::optional<Failure> failed;
  try {
    TopSample sample;
    while (stream->Read(&sample.stats)) {
      Wanted wanted;
      {
        std::lock_guard lock(mutex_);
        if (stopping_) break;
        wanted = wanted_;
      }
      const auto sessions =
          daemon.Call(&v1::Admin::Stub::ListSessions, v1::ListSessionsRequest()).sessions();
      sample.sessions = {sessions.begin(), sessions.end()};
      if (wanted.slabs) {
        const auto slabs = daemon.Call(&v1::Admin::Stub::ListSlabs, v1::ListSlabsRequest()).slabs();
        sample.slabs.emplace(slabs.begin(), slabs.end());
      }
      if (wanted.leases && wanted.leases->socket == socket) {
        // Of all sessions: the one that was chosen may have ended a moment ago, which is no failure.
        const auto leases =
            daemon.Call(&v1::Admin::Stub::ListLeases, v1::ListLeasesRequest()).leases();
        sample.leases.emplace();
        for (const v1::LeaseInfo& lease : leases) {
          if (lease.session() == wanted.leases->session) sample.leases->push_back(lease);
        }
      }
      Put({socket, std::move(sample)});
      sample = {};
    }
  } catch (const Failure& failure) {
    failed = failure;
    context.TryCancel();
    v1::Stats rest;
    while (stream->Read(&rest)) {
    }
  }
  const grpc::Status status = stream->Finish();
  {
    std::lock_guard lock(mutex_);
    streams_.erase(socket);
    if (stopping_) return;
  }
  throw failed ? *failed : Failure::Of(status, socket);
}

}  // namespace nvcv_cached::cli
