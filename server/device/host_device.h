// The host device: slabs are sealed memfds, mapped by whoever holds a lease on them.
//
// Each is committed when it is made (no client of ours can meet SIGBUS for want of memory) and
// sealed against shrink, grow and further seals before anybody sees it (M5). The daemon keeps the
// descriptor but no mapping, so slabs are in none of its core dumps. Where the system backs shared
// memory with huge pages on advice, they are asked for while the slab is committed.
//
// Invariant: slabs_ holds exactly what was allocated and not freed. Thread-safety: as Device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "server/device/device.h"

namespace nvcv_cached::server {

struct HostDeviceOptions {
  std::string root;  // of /proc and /sys; tests set it
};

class HostDevice final : public Device {
 public:
  explicit HostDevice(const HostDeviceOptions& options = {});

  const DeviceInfo& info() const override { return info_; }
  // ALREADY_EXISTS, INVALID_ARGUMENT (not a multiple of the granularity), RESOURCE_EXHAUSTED.
  absl::StatusOr<SlabHandle> AllocateSlab(uint64_t slab, uint64_t size_bytes) override;
  absl::Status FreeSlab(uint64_t slab) override;  // NOT_FOUND
  uint64_t FreeBytes() override;

 private:
  struct Slab {
    UniqueFd memfd;
    uint64_t size_bytes;
  };

  const std::string root_;
  const bool huge_pages_;
  DeviceInfo info_;
  std::unordered_map<uint64_t, Slab> slabs_;
};

}  // namespace nvcv_cached::server
