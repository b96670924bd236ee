#include "server/rpc/event_follower.h"

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "server/log/logfmt.h"

namespace nvcv_cached::server {
namespace {

class Follower final : public grpc::ServerWriteReactor<v1::LogEvent> {
 public:
  static Follower* Begin(EventRing& events, AdminWorker& worker, std::atomic<int>& count,
                         bool past_only) {
    auto made = std::shared_ptr<Follower>(new Follower(events, worker, count, past_only));
    made->self_ = made;
    made->watch_ = events.Watch([follower = made.get()] { follower->Schedule(); });
    made->Schedule();
    return made.get();
  }

  void OnWriteDone(bool ok) override {
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      if (!ok) cancelled_ = true;
    }
    Schedule();
  }
  void OnCancel() override {
    {
      std::lock_guard lock(mutex_);
      cancelled_ = true;
    }
    Schedule();
  }
  void OnDone() override {
    events_.Unwatch(watch_);
    --count_;
    self_.reset();
  }

 private:
  Follower(EventRing& events, AdminWorker& worker, std::atomic<int>& count, bool past_only)
      : events_(events), worker_(worker), count_(count), past_only_(past_only) {
    ++count_;
  }

  // A step runs soon, unless one will be asked for when the write under way is done.
  void Schedule() {
    std::lock_guard lock(mutex_);
    if (scheduled_ || writing_ || finished_) return;
    scheduled_ = worker_.Post([self = self_] { self->Step(); }).has_value();
    if (scheduled_) return;
    finished_ = true;
    Finish({grpc::StatusCode::RESOURCE_EXHAUSTED,
            "too many requests of operators wait already; do: ask again later"});
  }

  void Step() {
    bool cancelled = false;
    {
      std::lock_guard lock(mutex_);
      scheduled_ = false;  // a line that comes from here on asks for the next step
      cancelled = cancelled_;
      if (finished_ || writing_) return;
    }
    if (cancelled) return End(grpc::Status::CANCELLED);
    const std::optional<EventRing::Line> line = events_.Next(next_);
    if (!line) {
      if (past_only_) End(grpc::Status::OK);
      return;
    }
    Fill(*line);
    {
      std::lock_guard lock(mutex_);
      if (finished_) return;
      writing_ = true;
    }
    StartWrite(&event_);
  }

  void Fill(const EventRing::Line& line) {
    event_.Clear();
    event_.set_time_unix_ms(line.time_unix_ms);
    event_.set_level(line.level);
    event_.set_text(line.text);
    const ParsedEvent parsed = ParseEvent(line.text);
    event_.set_event(parsed.name);
    for (const auto& [key, value] : parsed.fields) {
      v1::LogField* field = event_.add_fields();
      field->set_key(key);
      field->set_value(value);
    }
    // Before the first one nothing was lost: what the ring no longer has is the log's.
    event_.set_lost(next_ == 0 ? 0 : line.number - next_);
    next_ = line.number + 1;
  }

  void End(const grpc::Status& status) {
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(finished_, true)) return;
    }
    Finish(status);
  }

  EventRing& events_;
  AdminWorker& worker_;
  std::atomic<int>& count_;
  const bool past_only_;
  uint64_t watch_ = 0;
  v1::LogEvent event_;  // these two are the steps' own
  uint64_t next_ = 0;
  std::mutex mutex_;
  bool scheduled_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<Follower> self_;
};

}  // namespace

grpc::ServerWriteReactor<v1::LogEvent>* FollowEvents(EventRing& events, AdminWorker& worker,
                                                     std::atomic<int>& count,
                                                     const v1::FollowEventsRequest& request) {
  return Follower::Begin(events, worker, count, request.past_only());
}

}  // namespace nvcv_cached::server
