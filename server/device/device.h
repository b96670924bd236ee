// Where slabs come from. Two implementations: host (sealed memfds) and cuda (CUDA IPC).
//
// Every call may block and is made on the device worker's thread only, never under the lock of the
// books. A slab is zero when it is made (M4) and is made or freed whole. Thread-safety: one thread
// at a time, but for info(), which is constant.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/unique_fd.h"

namespace nvcv_cached::server {

struct DeviceInfo {
  std::string kind;  // "host" or "cuda"
  std::string id;    // "host" or the GPU's UUID; names sockets and labels
  std::string name;
  int index = -1;
  uint64_t total_bytes = 0;
  std::string pci_bus_id;         // empty: host
  std::string driver;             // its version; empty: host
  uint32_t row_alignment = 32;    // bytes
  uint32_t base_alignment = 512;  // bytes
  uint64_t slab_granularity = 0;  // slab sizes are multiples of this
};

// How a client maps a slab: exactly one of the two is set.
struct SlabHandle {
  UniqueFd memfd;        // sealed against shrink, grow and seal
  std::string cuda_ipc;  // cudaIpcMemHandle_t
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceInfo& info() const = 0;

  // Makes a slab: committed (no later fault can fail), zeroed, exported. RESOURCE_EXHAUSTED says
  // what the device has left.
  virtual absl::StatusOr<SlabHandle> AllocateSlab(uint64_t slab, uint64_t size_bytes) = 0;

  // Frees what AllocateSlab made. The handle given out stays valid for who has opened it.
  virtual absl::Status FreeSlab(uint64_t slab) = 0;

  virtual uint64_t FreeBytes() = 0;  // as the device says now
};

}  // namespace nvcv_cached::server
