// The part of CudaFencer that hands memory out: which stream's line goes into the item, and what that
// stream waits for.
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/cuda/cuda_fencer.h"
#include "client/src/errors.h"
#include "client/src/item.h"

namespace nvcv_cached::client {

namespace {

using On = StreamTimeline::Kind;

absl::Status RefuseCapture() {
  return WithHint(
      absl::InvalidArgumentError(
          "memory was to be handed out on a stream that is capturing a graph, "
          "which may be launched after the memory's release"),
      "take the pointer before the capture begins, and keep the object as long as the graph");
}

CUstream HandleOf(const std::shared_ptr<StreamState>& stream) {
  const CUstream handle = stream == nullptr ? nullptr : stream->handle;
  return handle == nullptr ? CU_STREAM_LEGACY : handle;
}

}  // namespace

void CudaFencer::HandOut(Item& item) {
  ThreadStreams& mine = ThreadStreams::Mine();
  ThrowUnlessOk(Use(item, mine, mine.current(), mine.current_state()));
}

void CudaFencer::HandOutOn(Item& item, const std::shared_ptr<StreamState>& stream) {
  ThrowUnlessOk(Use(item, ThreadStreams::Mine(), HandleOf(stream), stream));
}

void CudaFencer::HandOutAfter(Item& item, const std::shared_ptr<StreamState>& stream) {
  ThreadStreams& mine = ThreadStreams::Mine();
  const CUstream handle = HandleOf(stream);
  ThrowUnlessOk(WaitForUses(item, mine, handle));
  ThrowUnlessOk(Use(item, mine, handle, stream));
}

// By a fence that nobody's release names: its event is what the stream waits for.
absl::Status CudaFencer::WaitForUses(Item& item, ThreadStreams& mine, CUstream stream) {
  const StreamTimeline* const first = item.first_use.load(std::memory_order_acquire);
  if (first == nullptr || stopped_.load(std::memory_order_acquire) || !gpu_.IsAlive()) {
    return absl::OkStatus();  // Use says what is wrong
  }
  ContextScope scope(gpu_);
  if (absl::Status may = CheckNotCapturing(stream); !may.ok()) return may;
  unsigned long long id = 0;
  if (const CUresult result = gpu_.driver().StreamGetId(stream, &id); result != CUDA_SUCCESS) {
    return gpu_.Check(result, "cuStreamGetId");
  }
  const bool is_only_one = item.further_uses.load(std::memory_order_acquire) == nullptr;
  if (is_only_one && first->stream_id == id) return absl::OkStatus();
  const std::optional<lease_table::Fence> fence = FenceOf(item, mine);
  if (!fence.has_value()) {
    return WithHint(
        absl::InternalError("a stream was to wait for those that use an object, and one of "
                            "them takes no event"),
        "end its capture first, or order the streams with wait_stream");
  }
  return gpu_.Check(gpu_.driver().StreamWaitEvent(stream, pool_.line(fence->timeline()).event, 0),
                    "cuStreamWaitEvent");
}

absl::Status CudaFencer::Use(Item& item, ThreadStreams& mine, CUstream stream,
                             const std::shared_ptr<StreamState>& state) {
  if (stopped_.load(std::memory_order_acquire)) {
    return absl::UnavailableError("this process is ending");
  }
  if (!gpu_.IsAlive()) return ResetStatus();
  std::optional<ContextScope> scope;
  if (stream == CU_STREAM_PER_THREAD) scope.emplace(gpu_);
  // First of all: cuStreamGetId ends a capture.
  if (absl::Status may = CheckNotCapturing(stream); !may.ok()) return may;
  StreamTimeline* const last = mine.TableOf(pool_).last();
  if (last != nullptr && last->stream == stream && last->current_since == mine.generation()) {
    return NameIn(item, last);
  }
  if (!scope) scope.emplace(gpu_);
  absl::StatusOr<StreamTimeline*> line = LineFor(mine, stream, state);
  if (!line.ok()) return line.status();
  if (stream == mine.current()) (*line)->current_since = mine.generation();
  return NameIn(item, *line);
}

absl::Status CudaFencer::CheckNotCapturing(CUstream stream) const {
  if (stream == CU_STREAM_LEGACY) return absl::OkStatus();
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  const CUresult result = gpu_.driver().StreamIsCapturing(stream, &status);
  if (result != CUDA_SUCCESS) return gpu_.Check(result, "cuStreamIsCapturing");
  return status == CU_STREAM_CAPTURE_STATUS_NONE ? absl::OkStatus() : RefuseCapture();
}

absl::Status CudaFencer::NameIn(Item& item, StreamTimeline* line) {
  StreamTimeline* first = item.first_use.load(std::memory_order_acquire);
  if (first == line) return absl::OkStatus();
  if (first == nullptr &&
      item.first_use.compare_exchange_strong(first, line, std::memory_order_acq_rel)) {
    ++line->handed_out;
    return WaitForEarlier(item, *line);
  }
  for (FurtherUse* use = item.further_uses.load(std::memory_order_acquire); use != nullptr;
       use = use->next) {
    if (use->line == line) return absl::OkStatus();
  }
  auto* const use = new FurtherUse{line, item.further_uses.load(std::memory_order_relaxed)};
  while (!item.further_uses.compare_exchange_weak(use->next, use, std::memory_order_acq_rel)) {
  }
  ++line->handed_out;
  return WaitForEarlier(item, *line);
}

absl::StatusOr<StreamTimeline*> CudaFencer::LineFor(ThreadStreams& mine, CUstream stream,
                                                    const std::shared_ptr<StreamState>& state) {
  StreamTable& table = mine.TableOf(pool_);
  TimelinePool::What what{.stream = stream};
  const CUresult result = gpu_.driver().StreamGetId(stream, &what.stream_id);
  if (result != CUDA_SUCCESS) return gpu_.Check(result, "cuStreamGetId");
  if (StreamTimeline* line = table.Find(what.stream_id)) return line;

  if (stream == CU_STREAM_LEGACY) {
    what.kind = On::kLegacy;
  } else if (stream == CU_STREAM_PER_THREAD) {
    what.kind = On::kPerThread;
  } else {
    CUcontext context = nullptr;
    absl::Status asked = gpu_.Check(gpu_.driver().StreamGetCtx(stream, &context), "cuStreamGetCtx");
    if (!asked.ok()) return asked;
    if (context != gpu_.context()) {
      return WithHint(
          absl::InvalidArgumentError(absl::StrCat(
              "memory of cuda:", gpu_.ordinal(), " was handed out on a stream of another context")),
          "use streams of that GPU's primary context (cuDevicePrimaryCtxRetain)");
    }
    if (state != nullptr && state->owned) {
      what.kind = On::kOwned;
      what.keep = state->shared_from_this();  // the stream, and not its place in the cache
    }
  }
  return table.Bind(what);
}

absl::Status CudaFencer::WaitForEarlier(const Item& item, const StreamTimeline& line) const {
  const lease_table::Fence earlier(item.slot->fence.load(std::memory_order_relaxed));
  if (!pool_.MustWait(earlier, line)) return absl::OkStatus();
  if (earlier.timeline() == 0 || earlier.timeline() >= lease_table::kTimelines) {
    return absl::InternalError(
        absl::StrCat("memory with the fence ", earlier.bits(), " was about to be used again"));
  }
  ContextScope scope(gpu_);  // the line may be of a default stream
  return gpu_.Check(
      gpu_.driver().StreamWaitEvent(line.stream, pool_.line(earlier.timeline()).event, 0),
      "cuStreamWaitEvent");
}

}  // namespace nvcv_cached::client
