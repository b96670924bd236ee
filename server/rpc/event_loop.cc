#include "server/rpc/event_loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace nvcv_cached::server {

EventLoop::EventLoop(std::string thread_name)
    : name_(std::move(thread_name)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event);
  thread_ = std::thread([this] { Run(); });
}

EventLoop::~EventLoop() { Stop(); }

EventLoop::Id EventLoop::Add(int fd, uint32_t events, std::function<void(uint32_t)> callback) {
  auto watch = std::make_shared<Watch>();
  watch->fd = fd;
  watch->callback = std::move(callback);
  std::lock_guard lock(mutex_);
  if (stopping_) return 0;
  const Id id = ++last_id_;
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return 0;
  watches_.emplace(id, std::move(watch));
  return id;
}

EventLoop::Id EventLoop::At(Time time, std::function<void()> callback) {
  auto watch = std::make_shared<Watch>();
  watch->time = time;
  watch->callback = [call = std::move(callback)](uint32_t) { call(); };
  Id id = 0;
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return 0;
    id = ++last_id_;
    watches_.emplace(id, std::move(watch));
    const auto entry = deadlines_.emplace(time, id);
    first = entry == deadlines_.begin();
  }
  if (first) Wake();
  return id;
}

void EventLoop::Remove(Id id) {
  std::shared_ptr<Watch> removed;  // its callback's captures go after the lock
  std::lock_guard lock(mutex_);
  auto found = watches_.find(id);
  if (found == watches_.end()) return;
  removed = std::move(found->second);
  watches_.erase(found);
  if (removed->fd >= 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, removed->fd, nullptr);
    return;
  }
  auto [from, to] = deadlines_.equal_range(removed->time);
  auto entry = std::find_if(from, to, [id](const auto& deadline) { return deadline.second == id; });
  if (entry != to) deadlines_.erase(entry);
}

Pulse EventLoop::GetPulse() {
  return {.name = name_, .ask = [this](std::function<void()> answer) {
            At(std::chrono::steady_clock::now(), std::move(answer));
          }};
}

void EventLoop::Stop() {
  std::unordered_map<Id, std::shared_ptr<Watch>> dropped;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(watches_);
    deadlines_.clear();
  }
  Wake();
  if (thread_.joinable() && thread_.get_id() != std::this_thread::get_id()) thread_.join();
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] ssize_t ignored = ::write(wakeup_.get(), &one, sizeof(one));
}

int EventLoop::TimeoutMs() {
  std::lock_guard lock(mutex_);
  if (stopping_) return 0;
  if (deadlines_.empty()) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadlines_.begin()->first -
                                                           std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

void EventLoop::CallDue() {
  while (true) {
    std::shared_ptr<Watch> due;
    {
      std::lock_guard lock(mutex_);
      if (deadlines_.empty() || deadlines_.begin()->first > std::chrono::steady_clock::now())
        return;
      auto found = watches_.find(deadlines_.begin()->second);
      deadlines_.erase(deadlines_.begin());
      if (found == watches_.end()) continue;
      due = std::move(found->second);
      watches_.erase(found);
    }
    due->callback(0);
  }
}

void EventLoop::Run() {
  ::pthread_setname_np(::pthread_self(), name_.substr(0, 15).c_str());
  std::array<epoll_event, 64> events;
  while (true) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), TimeoutMs());
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == 0) {
        uint64_t value;
        [[maybe_unused]] ssize_t ignored = ::read(wakeup_.get(), &value, sizeof(value));
        continue;
      }
      std::shared_ptr<Watch> watch;
      {
        std::lock_guard lock(mutex_);
        auto found = watches_.find(events[i].data.u64);
        if (found != watches_.end()) watch = found->second;
      }
      if (watch) watch->callback(events[i].events);
    }
    CallDue();
    std::lock_guard lock(mutex_);
    if (stopping_) return;
  }
}

}  // namespace nvcv_cached::server
