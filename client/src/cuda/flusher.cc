#include "client/src/cuda/flusher.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/log.h"
#include "client/src/own_thread.h"

namespace nvcv_cached::client {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr microseconds kLookAgain{50};     // while a fence is fresh
constexpr microseconds kLookSlowly{1000};  // at what the GPU reports by itself
constexpr int kLooksBeforeSleep =
    100;  // with nothing to do: a ring costs the releasing thread more
constexpr std::chrono::seconds kClosePatience{2};

}  // namespace

// The driver calls that Flush makes.
struct Flusher::Calls {
  static constexpr uint32_t kPolls = 4;

  Flusher& flusher;

  EventState Query(uint16_t timeline) {
    const CUresult result = flusher.gpu_.driver().EventQuery(flusher.pool_.line(timeline).event);
    if (result == CUDA_SUCCESS) return EventState::kReached;
    if (result == CUDA_ERROR_NOT_READY) return EventState::kPending;
    Log(LogLevel::kWarning, absl::StrCat("memory is kept from reuse until this process ends: ",
                                         flusher.gpu_.Check(result, "cuEventQuery").message()));
    return EventState::kFailed;
  }

  bool WaitAndWrite(uint16_t timeline, uint64_t counter) {
    if (flusher.timelines_on_gpu_ == 0) return false;
    const CudaDriver& driver = flusher.gpu_.driver();
    const CUstream stream = flusher.private_streams_[timeline % kPrivateStreams];
    const CUdeviceptr done = flusher.timelines_on_gpu_ + timeline * sizeof(lease_table::Timeline) +
                             offsetof(lease_table::Timeline, done_gpu);
    CUresult result = driver.StreamWaitEvent(stream, flusher.pool_.line(timeline).event, 0);
    if (result == CUDA_SUCCESS) {
      result = driver.StreamWriteValue64(stream, done, counter, CU_STREAM_WRITE_VALUE_DEFAULT);
    }
    if (result == CUDA_SUCCESS) return true;
    Log(LogLevel::kInfo,
        absl::StrCat("the GPU does not report to the lease table itself: ",
                     flusher.gpu_.Check(result, "cuStreamWriteValue64").message()));
    flusher.timelines_on_gpu_ = 0;  // not asked again
    return false;
  }
};

Flusher::Flusher(const Gpu& gpu, TimelinePool& pool, lease_table::Table& table)
    : gpu_(gpu), pool_(pool), table_(table), flushing_(new Flushing[lease_table::kTimelines]()) {}

Flusher::~Flusher() {
  while (!Stop(milliseconds(1000))) {
  }
}

absl::Status Flusher::Start() {
  RegisterTable();
  std::lock_guard starting(mutex_);
  absl::StatusOr<std::thread> thread = StartThread("nvcv-flush", [this] {
    Run();
    std::unique_lock lock(mutex_);
    runs_ = false;
    std::vector<Closing> left = std::move(closing_);
    stopped_changed_.notify_all();
    if (stop_.load()) return;
    lock.unlock();
    for (Closing& closing : left) closing.closed();
  });
  if (!thread.ok()) return thread.status();
  runs_ = true;
  thread->detach();
  return absl::OkStatus();
}

bool Flusher::Stop(milliseconds patience) noexcept {
  stop_.store(true);
  Ring();
  std::unique_lock lock(mutex_);
  return stopped_changed_.wait_for(lock, patience, [&] { return !runs_; });
}

void Flusher::CloseLater(CUdeviceptr data, std::function<void()> closed) {
  {
    std::unique_lock lock(mutex_);
    if (!runs_) {  // the context is gone, and its mappings with it
      lock.unlock();
      closed();
      return;
    }
    closing_.push_back({data, std::move(closed), Clock::now() + kClosePatience});
  }
  Ring();
}

// Pairs with the look at closing_ after Park in Run: one of both sees the other.
void Flusher::Ring() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (pool_.bell().parked.exchange(0) != 0) pool_.bell().parked.notify_one();
}

// The pages of the timelines alone; the GPU writes done_gpu there.
void Flusher::RegisterTable() {
  RelaxedCapture relaxed(gpu_);
  ContextScope scope(gpu_);
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(&table_.timelines[0]);
  const uintptr_t begin = first & ~(page - 1);
  const uintptr_t end = (first + sizeof(table_.timelines) + page - 1) & ~(page - 1);
  const CudaDriver& driver = gpu_.driver();
  void* const memory = reinterpret_cast<void*>(begin);
  CUdeviceptr on_gpu = 0;
  CUresult result = driver.MemHostRegister(
      memory, end - begin, CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
  if (result == CUDA_SUCCESS) result = driver.MemHostGetDevicePointer(&on_gpu, memory, 0);
  // The first work of a stream sets it up: a word of timeline 0, which is never bound.
  const CUdeviceptr timelines = on_gpu + (first - begin);
  for (CUstream& stream : private_streams_) {
    if (result == CUDA_SUCCESS) result = driver.StreamCreate(&stream, CU_STREAM_NON_BLOCKING);
    if (result == CUDA_SUCCESS) {
      result =
          driver.StreamWriteValue64(stream, timelines + offsetof(lease_table::Timeline, done_gpu),
                                    0, CU_STREAM_WRITE_VALUE_DEFAULT);
    }
  }
  if (result != CUDA_SUCCESS) {
    Log(LogLevel::kInfo, absl::StrCat("the GPU does not report to the lease table itself: ",
                                      gpu_.Check(result, "registering it").message()));
    return;
  }
  timelines_on_gpu_ = timelines;
  tells_by_gpu_.store(true, std::memory_order_relaxed);
}

void Flusher::Run() {
  ::prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);  // of this thread, in ns
  RelaxedCapture relaxed(gpu_);
  ContextScope scope(gpu_);
  Calls calls{*this};
  int clean_looks = 0;
  while (!stop_.load() && gpu_.IsAlive()) {
    const Round round = LookAtAll(calls);
    const bool idle = round == Round::kClean;
    const bool closes = CloseWhatWaits(idle);
    if (!idle || closes) {
      clean_looks = 0;
      std::this_thread::sleep_for(round == Round::kFresh ? kLookAgain : kLookSlowly);
      continue;
    }
    if (++clean_looks < kLooksBeforeSleep) {
      std::this_thread::sleep_for(kLookAgain);
      continue;
    }
    clean_looks = 0;
    if (!Park(pool_.bell(), pool_.counters(), flushing_.get())) continue;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    bool something = stop_.load();
    {
      std::lock_guard lock(mutex_);
      something = something || !closing_.empty();
    }
    if (something) {
      pool_.bell().parked.store(0);
    } else {
      Sleep(pool_.bell());
    }
  }
}

Flusher::Round Flusher::LookAtAll(Calls& calls) {
  Round round = Round::kClean;
  const uint32_t in_use = pool_.bell().in_use.load(std::memory_order_acquire);
  for (uint32_t i = 1; i < in_use; ++i) {
    const auto timeline = static_cast<uint16_t>(i);
    Flushing& mine = flushing_[i];
    const Flushed found =
        Flush(pool_.done(timeline), pool_.counter(timeline), timeline, mine, calls);
    if (found == Flushed::kDone) {
      round = Round::kFresh;  // more is likely to come
    } else if (found == Flushed::kPending && round != Round::kFresh) {
      round = mine.polls < Calls::kPolls ? Round::kFresh : Round::kHandedOver;
    }
  }
  return round;
}

// True: some are left for later.
bool Flusher::CloseWhatWaits(bool idle) {
  std::vector<Closing> now;
  bool left = false;
  {
    std::lock_guard lock(mutex_);
    for (auto it = closing_.begin(); it != closing_.end();) {
      if (idle || Clock::now() >= it->at_the_latest) {
        now.push_back(std::move(*it));
        it = closing_.erase(it);
      } else {
        ++it;
      }
    }
    left = !closing_.empty();
  }
  for (Closing& closing : now) {
    if (gpu_.IsAlive()) {
      const CUresult result = gpu_.driver().IpcCloseMemHandle(closing.data);
      if (result != CUDA_SUCCESS) {
        Log(LogLevel::kWarning, std::string(gpu_.Check(result, "cuIpcCloseMemHandle").message()));
      }
    }
    closing.closed();
  }
  return left;
}

}  // namespace nvcv_cached::client
