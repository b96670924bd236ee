#include "client/src/cuda/cuda_fencer.h"

#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/errors.h"
#include "client/src/item.h"
#include "client/src/log.h"

namespace nvcv_cached::client {

namespace {

using On = StreamTimeline::Kind;

// Not ids of streams: those count from 1.
constexpr unsigned long long kContextId = ~0ull;
constexpr unsigned long long kJoinId = ~1ull;

}  // namespace

// ---- releasing ----------------------------------------------------------------------------------

std::optional<lease_table::Fence> CudaFencer::AtRelease(Item& item) noexcept {
  if (item.first_use.load(std::memory_order_acquire) == nullptr) return std::nullopt;
  lease_table::Fence fence = kNeverDone;
  try {
    ThreadStreams& mine = ThreadStreams::Mine();
    if (!stopped_.load(std::memory_order_acquire) && gpu_.IsAlive()) {
      ContextScope scope(gpu_);
      if (const auto made = FenceOf(item, mine)) fence = *made;
    }
    TakeBack(item, mine.TableOf(pool_));
  } catch (const std::bad_alloc&) {
    item.first_use.store(nullptr,
                         std::memory_order_relaxed);  // the lines stay named: never bound anew
    return kNeverDone;
  }
  return fence;
}

std::optional<lease_table::Fence> CudaFencer::FenceOf(Item& item, ThreadStreams& mine) {
  if (strict_ == Strict::kYes) return OnContext(mine);
  if (item.further_uses.load(std::memory_order_acquire) != nullptr) return Joined(item, mine);
  StreamTimeline& line = *item.first_use.load(std::memory_order_relaxed);
  if (!MayTouch(line, mine)) return OnContext(mine);
  StreamTimeline* const own = OwnLine(line, mine);
  if (own == nullptr) return std::nullopt;
  const std::optional<lease_table::Fence> fence = OnLine(*own);
  // The thread of a per-thread stream may have ended at this moment, and the stream with it.
  if (own != &line && !MayTouch(line, mine)) return OnContext(mine);
  return fence;
}

bool CudaFencer::MayTouch(const StreamTimeline& line, ThreadStreams& mine) const {
  switch (line.kind) {
    case On::kLegacy:
    case On::kOwned:
      return true;
    case On::kPerThread:
      return line.owner.load(std::memory_order_acquire) != nullptr;
    default:
      break;
  }
  if (gpu_.driver().CtxRecordEvent == nullptr) return true;
  unsigned long long id = 0;  // a new stream may have got the handle of the old one
  if (line.stream == mine.current() && line.current_since == mine.generation() &&
      line.owner.load(std::memory_order_relaxed) == &mine.TableOf(pool_)) {
    return true;
  }
  return line.stream == mine.current() && !IsCapturing(line.stream) &&
         gpu_.driver().StreamGetId(line.stream, &id) == CUDA_SUCCESS && id == line.stream_id;
}

// The releasing thread's own line for the same stream. A per-thread stream of another thread is
// covered by the legacy stream, which waits for it.
StreamTimeline* CudaFencer::OwnLine(StreamTimeline& line, ThreadStreams& mine) {
  StreamTable& table = mine.TableOf(pool_);
  if (line.owner.load(std::memory_order_relaxed) == &table) return &line;
  if (line.kind == On::kPerThread) {
    absl::StatusOr<StreamTimeline*> legacy = LineFor(mine, CU_STREAM_LEGACY, nullptr);
    return legacy.ok() ? *legacy : nullptr;
  }
  if (StreamTimeline* own = table.Find(line.stream_id)) return own;
  absl::StatusOr<StreamTimeline*> bound = table.Bind(
      {.stream = line.stream, .stream_id = line.stream_id, .kind = line.kind, .keep = line.keep});
  return bound.ok() ? *bound : nullptr;
}

bool CudaFencer::Record(StreamTimeline& line) {
  if (line.kind == On::kContext) {
    return !Failed(gpu_.driver().CtxRecordEvent(gpu_.context(), line.event), "cuCtxRecordEvent");
  }
  if (line.kind != On::kPrivate && IsCapturing(line.stream)) return false;
  return !Failed(gpu_.driver().EventRecord(line.event, line.stream), "cuEventRecord");
}

// True too when the driver does not say.
bool CudaFencer::IsCapturing(CUstream stream) const {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult result = gpu_.driver().StreamIsCapturing(stream, &status);
  return Failed(result, "cuStreamIsCapturing") || status != CU_STREAM_CAPTURE_STATUS_NONE;
}

std::optional<lease_table::Fence> CudaFencer::OnLine(StreamTimeline& line) {
  struct Calls {
    CudaFencer& fencer;
    StreamTimeline& line;
    bool Record(uint16_t) { return fencer.Record(line); }
  } calls{*this, line};
  const uint16_t timeline = line.binding.timeline;
  return MakeFence(pool_.counter(timeline), pool_.bell(), line.binding, calls);
}

std::optional<lease_table::Fence> CudaFencer::OnContext(ThreadStreams& mine) {
  if (gpu_.driver().CtxRecordEvent == nullptr) return std::nullopt;
  // It would end a capture; this thread's is the one that can be seen.
  if (mine.current() != CU_STREAM_LEGACY && IsCapturing(mine.current())) return std::nullopt;
  StreamTable& table = mine.TableOf(pool_);
  StreamTimeline* line = table.Find(kContextId);
  if (line == nullptr) {
    absl::StatusOr<StreamTimeline*> bound = table.Bind(
        {.stream = nullptr, .stream_id = kContextId, .kind = On::kContext, .keep = nullptr});
    if (!bound.ok()) return std::nullopt;
    line = *bound;
  }
  return OnLine(*line);
}

std::optional<lease_table::Fence> CudaFencer::Joined(Item& item, ThreadStreams& mine) {
  StreamTable& table = mine.TableOf(pool_);
  StreamTimeline* join = table.Find(kJoinId);
  if (join == nullptr) {
    absl::StatusOr<StreamTimeline*> bound = table.Bind({.stream = pool_.JoinStream(),
                                                        .stream_id = kJoinId,
                                                        .kind = On::kPrivate,
                                                        .keep = nullptr});
    if (!bound.ok()) return std::nullopt;
    join = *bound;
  }
  FurtherUse first{item.first_use.load(std::memory_order_relaxed),
                   item.further_uses.load(std::memory_order_relaxed)};
  for (FurtherUse* use = &first; use != nullptr; use = use->next) {
    if (!MayTouch(*use->line, mine)) return OnContext(mine);
    StreamTimeline* const own = OwnLine(*use->line, mine);
    if (own == nullptr || !Record(*own)) return std::nullopt;
    if (Failed(gpu_.driver().StreamWaitEvent(join->stream, own->event, 0), "cuStreamWaitEvent")) {
      return std::nullopt;
    }
    if (own != use->line && !MayTouch(*use->line, mine)) return OnContext(mine);
  }
  return OnLine(*join);
}

void CudaFencer::TakeBack(Item& item, StreamTable& mine) noexcept {
  FurtherUse first{item.first_use.exchange(nullptr, std::memory_order_relaxed),
                   item.further_uses.exchange(nullptr, std::memory_order_relaxed)};
  for (FurtherUse* use = &first; use != nullptr;) {
    FurtherUse* const next = use->next;
    if (use->line->owner.load(std::memory_order_relaxed) == &mine) {
      ++use->line->taken_back;
    } else {
      use->line->taken_elsewhere.fetch_add(1, std::memory_order_release);
    }
    if (use != &first) delete use;
    use = next;
  }
}

bool CudaFencer::Failed(CUresult result, const char* what) const {
  if (result == CUDA_SUCCESS) return false;
  static std::atomic<bool> said{false};
  if (!said.exchange(true)) {
    Log(LogLevel::kWarning, absl::StrCat("memory is kept from reuse until this process ends: ",
                                         gpu_.Check(result, what).message()));
  }
  return true;
}

}  // namespace nvcv_cached::client
