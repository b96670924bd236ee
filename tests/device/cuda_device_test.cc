// What the CUDA device promises beside the conformance suite: choosing, refusing, failing.
#include "server/device/cuda_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "tests/device/cuda_under_test.h"

namespace nvcv_cached::server::testing {
namespace {

using ::testing::HasSubstr;

class CudaDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (TheGpu().driver == nullptr) GTEST_SKIP() << TheGpu().why_not;
  }
  const CudaDriver& driver() { return *TheGpu().driver; }
  const DeviceInfo& info() { return TheGpu().gpu.info; }
  std::unique_ptr<CudaDevice> Open(CudaDeviceOptions options = {}) {
    auto device = CudaDevice::Open(driver(), TheGpu().gpu, std::move(options));
    EXPECT_TRUE(device.ok()) << device.status();
    return device.ok() ? *std::move(device) : nullptr;
  }
};

// The fake driver alone fails when it is told to.
class CudaFaultTest : public CudaDeviceTest {
 protected:
  void SetUp() override {
    CudaDeviceTest::SetUp();
    if (IsSkipped()) return;
    if (!TheGpu().is_fake()) GTEST_SKIP() << "a real driver does not fail on command";
  }
  void TearDown() override {
    ::unsetenv("FAKE_CUDA_FAIL");
    ::unsetenv("FAKE_CUDA_COMPUTE_MODE");
    ::unsetenv("FAKE_CUDA_MPS");
    if (const char* directory = std::getenv("FAKE_CUDA_DIR")) {
      std::remove((std::string(directory) + "/fail").c_str());
    }
  }
  void Fail(const std::string& what) {
    std::ofstream(std::string(std::getenv("FAKE_CUDA_DIR")) + "/fail") << "on\n";
    ::setenv("FAKE_CUDA_FAIL", what.c_str(), 1);
  }
};

TEST_F(CudaDeviceTest, IsFoundByIndexUuidAndTheBeginningOfIt) {
  for (const std::string& name : {std::string("cuda:0"), info().id, info().id.substr(0, 12)}) {
    const auto gpu = FindGpu(driver(), name);
    ASSERT_TRUE(gpu.ok()) << gpu.status();
    EXPECT_EQ(gpu->info.id, info().id);
    EXPECT_THAT(gpu->info.pci_bus_id, HasSubstr(":"));
    EXPECT_THAT(gpu->info.driver, HasSubstr("."));
    EXPECT_EQ(gpu->info.index, 0);
    EXPECT_EQ(gpu->info.kind, "cuda");
  }
}

TEST_F(CudaDeviceTest, AnUnknownNameIsAnsweredWithThoseThatThereAre) {
  for (const char* name : {"cuda:99", "GPU-00000000-dead"}) {
    const absl::Status status = FindGpu(driver(), name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
    EXPECT_THAT(std::string(status.message()), HasSubstr(info().id));
  }
}

TEST_F(CudaDeviceTest, AlignmentsAreTheGpus) {
  EXPECT_GE(info().row_alignment, 1u);
  EXPECT_EQ(info().row_alignment & (info().row_alignment - 1), 0u);
  EXPECT_GE(info().base_alignment, info().row_alignment);
  EXPECT_EQ(info().slab_granularity, kGpuPageBytes);
}

TEST_F(CudaDeviceTest, EverySlabHasAHandleOfItsOwn) {
  auto device = Open();
  std::set<std::string> handles;
  for (uint64_t slab = 1; slab <= 8; ++slab) {
    auto handle = device->AllocateSlab(slab, kGpuPageBytes);
    ASSERT_TRUE(handle.ok()) << handle.status();
    EXPECT_EQ(handle->cuda_ipc.size(), sizeof(CUipcMemHandle));
    EXPECT_FALSE(handle->memfd);
    EXPECT_TRUE(handles.insert(handle->cuda_ipc).second) << slab;
  }
}

TEST_F(CudaDeviceTest, FreeBytesFollowTheSlabs) {
  auto device = Open();
  constexpr uint64_t kSlab = uint64_t{128} << 20;
  const uint64_t before = device->FreeBytes();
  ASSERT_TRUE(device->AllocateSlab(1, kSlab).ok());
  EXPECT_LE(device->FreeBytes(), before - kSlab);
  ASSERT_TRUE(device->FreeSlab(1).ok());
  EXPECT_GT(device->FreeBytes(), before - kSlab);
}

TEST_F(CudaFaultTest, AModeThatAdmitsNoClientIsRefused) {
  ::setenv("FAKE_CUDA_COMPUTE_MODE", "3", 1);
  const absl::Status status = FindGpu(driver(), "cuda:0").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("EXCLUSIVE_PROCESS"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("do: nvidia-smi -c DEFAULT"));
  ::setenv("FAKE_CUDA_COMPUTE_MODE", "2", 1);
  EXPECT_THAT(std::string(FindGpu(driver(), "cuda:0").status().message()), HasSubstr("PROHIBITED"));
}

TEST_F(CudaFaultTest, M2_UnderMpsNothingIsServed) {
  ::setenv("FAKE_CUDA_MPS", "1", 1);
  const absl::Status status = FindGpu(driver(), "cuda:0").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("nvidia-cuda-mps-control"));
}

TEST_F(CudaFaultTest, MemoryThatCannotBeExportedIsSeenAtStart) {
  Fail("cuIpcGetMemHandle:801");
  const absl::Status status = CudaDevice::Open(driver(), TheGpu().gpu, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cuIpcGetMemHandle"));
}

TEST_F(CudaFaultTest, AnErrorThatStaysEndsTheDaemonAndOthersDoNot) {
  std::vector<std::string> failures;
  auto device = Open(
      {.on_failure = [&](const absl::Status& status) { failures.emplace_back(status.message()); }});
  Fail("cuMemAlloc:2");
  EXPECT_EQ(device->AllocateSlab(1, kGpuPageBytes).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(failures.empty());
  Fail("cuMemAlloc:719");
  EXPECT_FALSE(device->AllocateSlab(1, kGpuPageBytes).ok());
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_THAT(failures[0], HasSubstr("cuMemAlloc"));
}

}  // namespace
}  // namespace nvcv_cached::server::testing
