// What the connection provides in the library: here the source is the one that the test installs.
#include <atomic>
#include <cstdlib>
#include <utility>

#include "client/src/process.h"
#include "nvcv_cached/device.h"

namespace nvcv_cached {
namespace client {
namespace {
std::atomic<LeaseSource*> installed{nullptr};
}

LeaseSource& Source() {
  LeaseSource* const source = installed.load(std::memory_order_acquire);
  if (source == nullptr) std::abort();
  return *source;
}

void InstallSource(LeaseSource* source) { installed.store(source, std::memory_order_release); }

}  // namespace client

Device::Device(std::string kind, std::string id, std::string name, std::uint64_t total_bytes)
    : kind_(std::move(kind)),
      id_(std::move(id)),
      name_(std::move(name)),
      total_bytes_(total_bytes) {}
Device::~Device() = default;
Device::Device(const Device&) = default;
Device& Device::operator=(const Device&) = default;

Device device() { return Device("host", "host", "test", 0); }

}  // namespace nvcv_cached
