#include "client/src/cuda/thread_streams.h"

#include <pthread.h>

#include <utility>

#include "client/src/fork_guard.h"

namespace nvcv_cached::client {

thread_local constinit ThreadStreams* ThreadStreams::mine_
    __attribute__((tls_model("initial-exec"))) = nullptr;

// A thread's per-thread default stream ends with its thread_local objects; what is released after
// that must find its line without an owner. Objects that die later still make a new one, which the
// key's destructor takes.
struct EndOfThread {
  bool armed = false;
  ~EndOfThread() {
    if (ThreadStreams::mine_ != nullptr) ThreadStreams::OnThreadExit(ThreadStreams::mine_);
  }
};

namespace {

pthread_key_t ExitKey(void (*destructor)(void*)) {
  static const pthread_key_t key = [destructor] {
    pthread_key_t made;
    pthread_key_create(&made, destructor);
    return made;
  }();
  return key;
}

}  // namespace

void ThreadStreams::Make() {
  static thread_local EndOfThread end;
  end.armed = true;
  mine_ = new ThreadStreams;
  pthread_setspecific(ExitKey(OnThreadExit), mine_);
}

void ThreadStreams::OnThreadExit(void* streams) {
  pthread_setspecific(ExitKey(OnThreadExit), nullptr);
  mine_ = nullptr;
  if (IsForkedChild()) return;
  auto* const ended = static_cast<ThreadStreams*>(streams);
  if (ended->event_ != nullptr && ended->event_of_->IsAlive()) {
    ended->event_of_->driver().EventDestroy(ended->event_);
  }
  delete ended;
}

void ThreadStreams::SetCurrent(std::shared_ptr<StreamState> state) {
  CUstream handle = state == nullptr ? nullptr : state->handle;
  current_ = handle == nullptr ? CU_STREAM_LEGACY : handle;
  state_ = std::move(state);
  ++generation_;
}

StreamTable& ThreadStreams::FindTable(TimelinePool& pool) {
  for (const std::unique_ptr<StreamTable>& table : tables_) {
    if (&table->pool() == &pool) return *(last_ = table.get());
  }
  tables_.push_back(std::make_unique<StreamTable>(pool));
  return *(last_ = tables_.back().get());
}

absl::Status ThreadStreams::Wait(const OnGpu& later, const OnGpu& earlier) {
  const Gpu& gpu = earlier.gpu;
  if (!gpu.IsAlive() || !later.gpu.IsAlive()) return ResetStatus();
  const CudaDriver& driver = gpu.driver();
  {
    ContextScope scope(gpu);
    if (event_of_ != &gpu) {
      if (event_ != nullptr && event_of_->IsAlive()) driver.EventDestroy(event_);
      event_of_ = nullptr;
      RelaxedCapture relaxed(gpu);
      absl::Status made =
          gpu.Check(driver.EventCreate(&event_, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
      if (!made.ok()) return made;
      event_of_ = &gpu;
    }
    absl::Status recorded = gpu.Check(driver.EventRecord(event_, earlier.stream), "cuEventRecord");
    if (!recorded.ok()) return recorded;
  }
  ContextScope scope(later.gpu);
  return gpu.Check(driver.StreamWaitEvent(later.stream, event_, 0), "cuStreamWaitEvent");
}

StreamTable::~StreamTable() {
  for (StreamTimeline* line : lines_) pool_.Leave(line);
}

absl::StatusOr<StreamTimeline*> StreamTable::Bind(const TimelinePool::What& what) {
  if (lines_.size() >= kManyLines) {
    for (StreamTimeline* line : lines_) {
      const bool foreign =
          line->kind == StreamTimeline::Kind::kNamed || line->kind == StreamTimeline::Kind::kOwned;
      if (foreign && pool_.Rebind(line, what)) return last_ = line;
    }
  }
  absl::StatusOr<StreamTimeline*> line = pool_.Bind(this, what);
  if (!line.ok()) return line.status();
  lines_.push_back(*line);
  return last_ = *line;
}

}  // namespace nvcv_cached::client
