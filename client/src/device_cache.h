// What this process keeps of one device: where its leases come from, its idle items without a
// thread, and what is known of its layouts. A process has one for each device that it uses; every
// item belongs to one, and a thread has a cache of its own for each.
//
// Never destroyed (objects may outlive main()). Thread-safety: thread-safe.
#pragma once

#include <atomic>

#include "client/src/depot.h"
#include "client/src/lease_source.h"

namespace nvcv_cached::client {

struct DeviceCache {
  explicit DeviceCache(LeaseSource& of) : source(of) {}
  DeviceCache(const DeviceCache&) = delete;
  DeviceCache& operator=(const DeviceCache&) = delete;

  LeaseSource& source;
  Depot depot;
  std::atomic<const DeviceTraits*> traits{nullptr};  // asked once: they do not change
};

// Which of the system's devices is current on the calling thread, as the system numbers them.
using CurrentOrdinal = int (*)();

// Which device the calling thread's next object is on. With `follows`, only as long as that says
// `ordinal`.
struct ChosenDevice {
  DeviceCache* device = nullptr;
  CurrentOrdinal follows = nullptr;
  int ordinal = 0;
};

}  // namespace nvcv_cached::client
