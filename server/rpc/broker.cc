#include "server/rpc/broker.h"

#include <pthread.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>
#include <variant>

#include "server/foreign/foreign_slabs.h"
#include "server/foreign/socket_inode.h"

namespace nvcv_cached::server {
namespace {

// Between two ticks at least, so that a tick that is always due cannot take a core.
constexpr std::chrono::microseconds kShortestTick{200};

// A large slab takes its time, on the host to be zeroed: at least a GiB in a second.
std::chrono::milliseconds TimeFor(uint64_t bytes) { return std::chrono::milliseconds(bytes >> 20); }

void Touch(std::vector<std::shared_ptr<SessionSink>>& sinks,
           const std::shared_ptr<SessionSink>& sink) {
  if (std::find(sinks.begin(), sinks.end(), sink) == sinks.end()) sinks.push_back(sink);
}

// Of the memory behind a host slab; 0: it is none.
uint64_t InodeOf(const SlabHandle* handle) {
  struct stat status {};
  if (handle == nullptr || !handle->memfd || ::fstat(handle->memfd.get(), &status) != 0) return 0;
  return status.st_ino;
}

}  // namespace

Broker::Broker(const Settings& settings, uint64_t epoch, Device& device, const Clock& clock,
               SlabRecord* record)
    : epoch_(epoch),
      device_(device),
      clock_(clock),
      record_(record),
      books_(std::make_unique<Books>(settings, epoch, clock)),
      idle_since_(clock.Now()),
      device_free_bytes_(device.FreeBytes()),
      device_thread_([this] { RunDevice(); }),
      ticker_thread_([this] { RunTicker(); }) {}

Broker::~Broker() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  device_wakeup_.notify_all();
  ticker_wakeup_.notify_all();
  device_thread_.join();
  ticker_thread_.join();
}

SessionId Broker::OpenSession(
    const SessionOptions& options, lease_table::Table* table,
    const std::function<std::shared_ptr<SessionSink>(SessionId)>& make_sink) {
  return With([&](Books& books) {
    const SessionId id = books.OpenSession(options, table);
    sinks_[id] = make_sink(id);
    idle_since_.reset();
    return id;
  });
}

void Broker::NoteConnected(SessionId id, pid_t pid, int socket) {
  if (record_ == nullptr) return;
  const RecordedSession recorded{.pid = pid,
                                 .started = ProcessStart(pid),
                                 .socket = PeerInode(socket).value_or(0),
                                 .slabs = {}};
  std::lock_guard lock(mutex_);
  // One that ended meanwhile would stay in the record for ever.
  if (sinks_.contains(id)) record_->NoteSession(id, recorded);
}

absl::Status Broker::Unmapped(SessionId id, SlabId slab) {
  absl::Status status = With([&](Books& books) {
    absl::Status unmapped = books.Unmapped(id, slab);
    // Before the effects, which may map the slab again.
    if (unmapped.ok() && record_ != nullptr) record_->NoteUnmapped(id, slab);
    return unmapped;
  });
  if (record_ != nullptr) record_->Flush();
  return status;
}

uint64_t Broker::DeviceFreeBytes() {
  auto asked = std::make_shared<std::promise<uint64_t>>();
  std::future<uint64_t> answer = asked->get_future();
  {
    std::lock_guard lock(mutex_);
    // A worker that is stuck in the driver is not given more and more of the same question.
    if (stopping_ || device_jobs_.size() > 64) return device_free_bytes_;
    device_jobs_.push_back([this, asked] {
      const uint64_t bytes = device_.FreeBytes();
      {
        std::lock_guard inner(mutex_);
        device_free_bytes_ = bytes;
      }
      asked->set_value(bytes);
    });
  }
  device_wakeup_.notify_one();
  if (answer.wait_for(std::chrono::seconds(1)) == std::future_status::ready) return answer.get();
  std::lock_guard lock(mutex_);
  return device_free_bytes_;
}

void Broker::Drain() {
  ServingState expected = ServingState::kServing;
  if (!state_.compare_exchange_strong(expected, ServingState::kDraining)) return;
  std::vector<std::shared_ptr<SessionSink>> sinks;
  With([&](Books& books) {
    books.Clear({});
    for (auto& [id, sink] : sinks_) {
      sink->OnDraining();
      sinks.push_back(sink);
    }
  });
  for (auto& sink : sinks) sink->Pump();
  if (observer_) observer_(ServingState::kDraining);
}

void Broker::Undrain() {
  ServingState expected = ServingState::kDraining;
  if (!state_.compare_exchange_strong(expected, ServingState::kServing)) return;
  if (observer_) observer_(ServingState::kServing);
}

std::unordered_set<SessionId> Broker::AttachedSessions() {
  std::unordered_set<SessionId> attached;
  std::lock_guard lock(mutex_);
  for (const auto& [id, sink] : sinks_) {
    if (sink->attached()) attached.insert(id);
  }
  return attached;
}

std::optional<TimePoint> Broker::IdleSince() {
  std::lock_guard lock(mutex_);
  return idle_since_;
}

std::map<std::string, uint64_t> Broker::DeviceErrors() {
  std::lock_guard lock(mutex_);
  return device_errors_;
}

std::vector<Pulse> Broker::Pulses() {
  auto ask_device = [this](std::function<void()> answer) {
    {
      std::lock_guard lock(mutex_);
      device_jobs_.push_front(std::move(answer));  // jobs that wait are no sign of a hang
    }
    device_wakeup_.notify_one();
  };
  auto ask_ticker = [this](std::function<void()> answer) {
    {
      std::lock_guard lock(mutex_);
      ticker_answer_ = std::move(answer);
    }
    ticker_wakeup_.notify_one();
  };
  return {
      {.name = "device", .ask = ask_device, .extra = [this] { return TimeFor(bytes_being_made_); }},
      {.name = "ticker", .ask = ask_ticker}};
}

void Broker::Dispatch(Wakeups& wakeups) {
  Effects effects = books_->TakeEffects();
  for (Effect& effect : effects) Carry(effect, wakeups);
  next_tick_ = books_->NextTick();
  // A later tick than the one it sleeps for is not worth a wake-up: it looks again by itself.
  if (next_tick_ && (!ticker_wakes_ || *next_tick_ < *ticker_wakes_)) {
    ticker_wakes_ = next_tick_;
    wakeups.ticker = true;
  }
}

void Broker::Carry(Effect& effect, Wakeups& wakeups) {
  auto to_session = [&](SessionId id, auto&& call) {
    auto found = sinks_.find(id);
    if (found == sinks_.end()) return;
    call(*found->second);
    Touch(wakeups.sinks, found->second);
  };
  struct Visitor {
    Broker& broker;
    Wakeups& wakeups;
    decltype(to_session)& to;

    void operator()(SendGrant& grant) {
      SessionSink::Handles handles;
      for (const SendGrant::NewSlab& slab : grant.new_slabs) {
        auto found = broker.slabs_.find(slab.id);
        handles.push_back(found == broker.slabs_.end() ? nullptr : found->second);
        if (broker.record_ == nullptr) continue;
        broker.record_->NoteMapped(grant.session, slab.id,
                                   {slab.size_bytes, InodeOf(handles.back().get())});
        wakeups.record = true;
      }
      to(grant.session, [&](SessionSink& sink) { sink.OnGrant(grant, std::move(handles)); });
    }
    void operator()(SendRefusal& refusal) {
      to(refusal.session, [&](SessionSink& sink) { sink.OnRefusal(refusal); });
    }
    void operator()(SendRetire& retire) {
      to(retire.session, [&](SessionSink& sink) { sink.OnRetire(retire.slab); });
    }
    void operator()(AllocateSlab& job) {
      broker.device_jobs_.push_back([&broker = broker, job] { broker.Allocate(job); });
      wakeups.device = true;
    }
    void operator()(FreeSlab& job) {
      broker.slabs_.erase(job.slab);
      broker.device_jobs_.push_back([&broker = broker, job] { broker.Free(job); });
      wakeups.device = true;
    }
    void operator()(KillSession& kill) {
      to(kill.session, [&](SessionSink& sink) { sink.OnKill(kill.status); });
    }
    void operator()(SessionEnded& ended) {
      to(ended.session, [&](SessionSink& sink) { sink.OnEnded(ended.cause); });
      broker.sinks_.erase(ended.session);
      if (broker.record_ != nullptr) {
        broker.record_->NoteEnded(ended.session);
        wakeups.record = true;
      }
      if (broker.sinks_.empty()) broker.idle_since_ = broker.clock_.Now();
    }
  };
  std::visit(Visitor{*this, wakeups, to_session}, effect);
}

void Broker::Finish(Wakeups& wakeups) {
  if (wakeups.device) device_wakeup_.notify_one();
  if (wakeups.ticker) ticker_wakeup_.notify_one();
  if (wakeups.record) record_->Flush();  // as a rule before the client hears of its slabs
  for (auto& sink : wakeups.sinks) sink->Pump();
}

void Broker::RunDevice() {
  ::pthread_setname_np(::pthread_self(), "device");
  std::unique_lock lock(mutex_);
  while (true) {
    device_wakeup_.wait(lock, [&] { return stopping_ || !device_jobs_.empty(); });
    if (stopping_) return;
    std::function<void()> job = std::move(device_jobs_.front());
    device_jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
}

void Broker::Allocate(const AllocateSlab& job) {
  bytes_being_made_ = job.size_bytes;
  absl::StatusOr<SlabHandle> handle = device_.AllocateSlab(job.slab, job.size_bytes);
  bytes_being_made_ = 0;
  With([&](Books& books) {
    if (handle.ok()) {
      slabs_[job.slab] = std::make_shared<const SlabHandle>(*std::move(handle));
      books.SlabReady(job.slab);
    } else {
      ++device_errors_[absl::StatusCodeToString(handle.status().code())];
      books.SlabFailed(job.slab, handle.status());
    }
  });
}

void Broker::Free(const FreeSlab& job) {
  const absl::Status status = device_.FreeSlab(job.slab);
  With([&](Books& books) {
    if (!status.ok()) ++device_errors_[absl::StatusCodeToString(status.code())];
    books.SlabFreed(job.slab);
  });
}

void Broker::RunTicker() {
  ::pthread_setname_np(::pthread_self(), "ticker");
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (ticker_answer_) std::exchange(ticker_answer_, nullptr)();
    ticker_wakes_ = next_tick_;
    if (!next_tick_) {
      ticker_wakeup_.wait(lock);
      continue;
    }
    const TimePoint due = *next_tick_;
    if (std::chrono::steady_clock::now() < due) {
      ticker_wakeup_.wait_until(lock, due);
      continue;
    }
    lock.unlock();
    With([](Books& books) { books.Tick(); });
    lock.lock();
    if (next_tick_ && *next_tick_ <= std::chrono::steady_clock::now()) {
      ticker_wakeup_.wait_for(lock, kShortestTick);
    }
  }
}

}  // namespace nvcv_cached::server
