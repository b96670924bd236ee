// What any Device must do, whatever its memory is.
//
// A device takes part by a DeviceUnderTest: how to make one, and how a client would map a slab of
// it. Instantiate the suite with
//   INSTANTIATE_TEST_SUITE_P(Host, DeviceConformance, ::testing::Values(&MakeHost), NameOf);
// Each test uses a few MiB and a device of its own.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/device/device.h"

namespace nvcv_cached::server::testing {

// One mapping of a slab, as another process would have it. Reads and writes go to the slab's
// memory.
class SlabView {
 public:
  virtual ~SlabView() = default;
  virtual void Write(uint64_t offset, const std::vector<uint8_t>& bytes) = 0;
  virtual std::vector<uint8_t> Read(uint64_t offset, uint64_t count) = 0;
};

struct DeviceUnderTest {
  std::string name;
  std::unique_ptr<Device> device;
  std::function<std::unique_ptr<SlabView>(const SlabHandle&, uint64_t size_bytes)> map;
  // A size that the device certainly does not have left, a multiple of its granularity.
  uint64_t too_large = 0;
  std::string why_not;  // without a device: why it cannot be tested here
};
using MakeDevice = DeviceUnderTest (*)();

class DeviceConformance : public ::testing::TestWithParam<MakeDevice> {
 protected:
  static constexpr uint64_t kMiB = uint64_t{1} << 20;

  uint64_t SomeBytes() const {
    const uint64_t granularity = under_test_.device->info().slab_granularity;
    return (2 * kMiB + granularity - 1) / granularity * granularity;
  }
  void SetUp() override {
    if (!under_test_.device) GTEST_SKIP() << under_test_.name << ": " << under_test_.why_not;
  }
  Device& device() { return *under_test_.device; }

  DeviceUnderTest under_test_ = GetParam()();
};

}  // namespace nvcv_cached::server::testing
