#include "client/src/cuda/timeline_pool.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace nvcv_cached::client {

TimelinePool::TimelinePool(const Gpu& gpu, lease_table::Timeline* done)
    : gpu_(gpu),
      done_(done),
      lines_(new StreamTimeline[lease_table::kTimelines]),
      counters_(new Counter[lease_table::kTimelines]()) {
  for (uint32_t i = 0; i < lease_table::kTimelines; ++i) {
    lines_[i].binding.timeline = static_cast<uint16_t>(i);
  }
}

bool TimelinePool::MayBindAnew(const StreamTimeline& line) const {
  return !line.IsNamed() && Rebindable(done_, lease_table::kTimelines, line.binding);
}

void TimelinePool::Bound(StreamTimeline& line, StreamTable* owner, const What& what) {
  line.stream = what.stream;
  line.stream_id = what.stream_id;
  line.kind = what.kind;
  line.keep = what.keep;
  line.current_since = 0;
  line.owner.store(owner, std::memory_order_release);
}

absl::StatusOr<StreamTimeline*> TimelinePool::Bind(StreamTable* owner, const What& what) {
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < free_.size(); ++i) {
    if (!MayBindAnew(*free_[i])) continue;
    StreamTimeline* const line = std::exchange(free_[i], free_.back());
    free_.pop_back();
    Bound(*line, owner, what);
    return line;
  }
  if (next_ == lease_table::kTimelines) {
    return absl::ResourceExhaustedError(
        absl::StrCat("all ", lease_table::kTimelines - 1,
                     " timelines of this process are bound to pairs of a thread "
                     "and a stream; do: use fewer threads or streams"));
  }
  StreamTimeline& line = lines_[next_];
  if (line.event == nullptr) {
    RelaxedCapture relaxed(gpu_);
    ContextScope scope(gpu_);
    if (absl::Status made = MakeEvent(line); !made.ok()) return made;
  }
  ++next_;
  Bound(line, owner, what);
  bell_.in_use.store(next_, std::memory_order_release);  // before its first fence
  return &line;
}

bool TimelinePool::Rebind(StreamTimeline* line, const What& what) {
  if (!MayBindAnew(*line)) return false;
  Bound(*line, line->owner.load(std::memory_order_relaxed), what);
  return true;
}

void TimelinePool::Leave(StreamTimeline* line) {
  std::lock_guard lock(mutex_);
  line->owner.store(nullptr, std::memory_order_release);
  free_.push_back(line);
}

absl::Status TimelinePool::Prepare() {
  RelaxedCapture relaxed(gpu_);
  ContextScope scope(gpu_);
  for (CUstream& stream : joins_) {
    absl::Status made =
        gpu_.Check(gpu_.driver().StreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    if (!made.ok()) return made;
  }
  for (uint32_t i = 1; i <= kFirstEvents; ++i) {
    if (absl::Status made = MakeEvent(lines_[i]); !made.ok()) return made;
  }
  return absl::OkStatus();
}

absl::Status TimelinePool::MakeEvent(StreamTimeline& line) {
  return gpu_.Check(gpu_.driver().EventCreate(&line.event, CU_EVENT_DISABLE_TIMING),
                    "cuEventCreate");
}

CUstream TimelinePool::JoinStream() {
  std::lock_guard lock(mutex_);
  return joins_[next_join_++ % joins_.size()];
}

}  // namespace nvcv_cached::client
