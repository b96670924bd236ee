// Fences on a GPU (docs/cuda.md has the rule for users): which streams use an object, and what must
// be done before its block may change hands.
//
// HandOut names a line (stream_timeline.h) in the item: the first in first_use, further ones in a
// list. AtRelease records the event of the one line and publishes its counter; several lines are
// joined on a private stream. Which stream handle may still be touched at a release: a default
// stream, one that the library owns, and the releasing thread's current one. Any other may have
// been destroyed, and the driver crashes on it: then the fence is an event of the whole context
// (cuCtxRecordEvent), as with strict_streams. A stream that is capturing cannot be recorded on:
// handing out there is refused, and what is released there is never reused.
//
// One per session, never destroyed. Thread-safety: thread-safe; no lock but when a thread meets a
// stream for the first time.
#pragma once

#include <cuda.h>

#include <atomic>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "client/src/cuda/gpu.h"
#include "client/src/cuda/thread_streams.h"
#include "client/src/cuda/timeline_pool.h"
#include "client/src/fence.h"

namespace nvcv_cached::client {

class CudaFencer final : public Fencer {
 public:
  enum class Strict { kNo, kYes };  // kYes: every fence covers the whole context
  CudaFencer(const Gpu& gpu, TimelinePool& pool, Strict strict)
      : gpu_(gpu), pool_(pool), strict_(strict) {}

  void HandOut(Item& item) override;
  void HandOutOn(Item& item, const std::shared_ptr<StreamState>& stream) override;
  void HandOutAfter(Item& item, const std::shared_ptr<StreamState>& stream) override;
  std::optional<lease_table::Fence> AtRelease(Item& item) noexcept override;
  int device_ordinal() const override { return gpu_.ordinal(); }

  // From here on the driver is not called: the process ends, or its context is gone.
  void Stop() { stopped_.store(true, std::memory_order_release); }

 private:
  absl::Status Use(Item& item, ThreadStreams& mine, CUstream stream,
                   const std::shared_ptr<StreamState>& state);
  absl::Status WaitForUses(Item& item, ThreadStreams& mine, CUstream stream);
  absl::Status CheckNotCapturing(CUstream stream) const;
  absl::Status NameIn(Item& item, StreamTimeline* line);
  absl::StatusOr<StreamTimeline*> LineFor(ThreadStreams& mine, CUstream stream,
                                          const std::shared_ptr<StreamState>& state);
  absl::Status WaitForEarlier(const Item& item, const StreamTimeline& line) const;
  bool MayTouch(const StreamTimeline& line, ThreadStreams& mine) const;

  std::optional<lease_table::Fence> FenceOf(Item& item, ThreadStreams& mine);
  StreamTimeline* OwnLine(StreamTimeline& line, ThreadStreams& mine);
  std::optional<lease_table::Fence> OnLine(StreamTimeline& line);
  std::optional<lease_table::Fence> OnContext(ThreadStreams& mine);
  std::optional<lease_table::Fence> Joined(Item& item, ThreadStreams& mine);
  bool Record(StreamTimeline& line);
  bool IsCapturing(CUstream stream) const;
  void TakeBack(Item& item, StreamTable& mine) noexcept;
  bool Failed(CUresult result, const char* what) const;

  const Gpu& gpu_;
  TimelinePool& pool_;
  const Strict strict_;
  std::atomic<bool> stopped_{false};
};

}  // namespace nvcv_cached::client
