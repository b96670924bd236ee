// What the connection provides in the library: here the source is the one that the test installs,
// and a test chooses the thread's device (test_process.h).
#include "tests/client/test_process.h"

#include <atomic>
#include <cstdlib>
#include <utility>

#include "client/src/process.h"
#include "nvcv_cached/device.h"

namespace nvcv_cached {
namespace client {
namespace {

std::atomic<LeaseSource*> installed{nullptr};

class InstalledSource final : public LeaseSource {
 public:
  absl::StatusOr<std::vector<Lease>> Acquire(const LeaseRequest& request) override {
    return The().Acquire(request);
  }
  void Returned(const Lease& lease) noexcept override { The().Returned(lease); }
  absl::StatusOr<DeviceTraits> Traits() override { return The().Traits(); }
  absl::StatusOr<Device> CurrentDevice() override { return The().CurrentDevice(); }

 private:
  static LeaseSource& The() {
    LeaseSource* const source = installed.load(std::memory_order_acquire);
    if (source == nullptr) std::abort();
    return *source;
  }
};

thread_local int current_ordinal = 0;
std::atomic<DeviceCache*> second_device{nullptr};

}  // namespace

DeviceCache& TestDevice() {
  static auto* const device = new DeviceCache(*new InstalledSource);
  return *device;
}

void AddSecondDevice(DeviceCache* device) { second_device.store(device); }

void MakeCurrent(int ordinal) { current_ordinal = ordinal; }

absl::StatusOr<ChosenDevice> ChooseDevice() {
  DeviceCache* const second = second_device.load();
  if (second == nullptr) return ChosenDevice{.device = &TestDevice()};
  return ChosenDevice{.device = current_ordinal == 1 ? second : &TestDevice(),
                      .follows = [] { return current_ordinal; },
                      .ordinal = current_ordinal};
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
