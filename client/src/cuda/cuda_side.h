// A session's side of CUDA: its GPU, its fences, its flusher and its slabs. No CUDA type shows
// here.
//
// Slabs are opened on whatever thread reads a grant (once each, 40 to 200 us, never on a hit) and
// closed by the flusher. Invariant: the GPU's context is retained as long as the process lives, and
// the current context of no thread changes. Thread-safety: thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/fence.h"
#include "client/src/slab_mapper.h"
#include "proto/lease_table.h"

namespace nvcv_cached::client {

class Gpu;

class CudaSide final : public SlabMapper {
 public:
  // DEVICE_ERROR: this process does not see that GPU, or the driver says no.
  static absl::StatusOr<std::unique_ptr<CudaSide>> Open(const std::string& uuid,
                                                        bool strict_streams,
                                                        lease_table::Table& table);
  ~CudaSide() override;

  Fencer& fencer();
  absl::StatusOr<void*> Map(const Handle& handle, size_t size_bytes) override;
  void Unmap(void* data, size_t size_bytes, std::function<void()> unmapped) override;

  // DEVICE_ERROR when the process has reset its GPU: nothing may be borrowed any more.
  absl::Status Check() const;

  // The process ends: no call of the driver from here on, in `patience` at most.
  void Stop(std::chrono::milliseconds patience) noexcept;

 private:
  struct Parts;
  explicit CudaSide(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace nvcv_cached::client
