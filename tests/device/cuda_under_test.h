// The GPU as a device under test, or why there is none: cuda:0 of this machine, a fake one where
// the fake driver is loaded (tests/fake_cuda). Its slabs are mapped by another process
// (importer.cc). Thread-safety: none.
#pragma once

#include <string>

#include "server/device/cuda_device.h"
#include "tests/device/conformance.h"

namespace nvcv_cached::server::testing {

struct TestGpu {
  const CudaDriver* driver = nullptr;  // nullptr: there is none
  Gpu gpu;
  std::string why_not;

  bool is_fake() const { return gpu.info.name == "Fake GPU"; }
};
const TestGpu& TheGpu();

DeviceUnderTest MakeCuda();
std::unique_ptr<SlabView> MapElsewhere(const SlabHandle& handle, uint64_t size_bytes);

}  // namespace nvcv_cached::server::testing
