// What the host device promises beside the conformance suite.
#include "server/device/host_device.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/device/fake_system.h"

namespace nvcv_cached::server::testing {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

SlabHandle Make(HostDevice& device, uint64_t size_bytes) {
  auto handle = device.AllocateSlab(1, size_bytes);
  EXPECT_TRUE(handle.ok()) << handle.status();
  return *std::move(handle);
}

TEST(HostDevice, M5_SlabsAreSealedBeforeAnybodySeesThem) {
  HostDevice device;
  const SlabHandle handle = Make(device, kMiB);
  const int seals = ::fcntl(handle.memfd.get(), F_GET_SEALS);
  EXPECT_EQ(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
            F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_NE(::ftruncate(handle.memfd.get(), 0), 0);
  EXPECT_NE(::ftruncate(handle.memfd.get(), 2 * kMiB), 0);
  EXPECT_NE(::fcntl(handle.memfd.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
}

TEST(HostDevice, SlabsAreCommittedWhole) {
  HostDevice device;
  const SlabHandle handle = Make(device, 3 * kMiB);
  struct stat info {};
  ASSERT_EQ(::fstat(handle.memfd.get(), &info), 0);
  EXPECT_EQ(static_cast<uint64_t>(info.st_size), 3 * kMiB);
  EXPECT_GE(static_cast<uint64_t>(info.st_blocks) * 512, 3 * kMiB);
}

// What is not mapped cannot be in a core dump.
TEST(HostDevice, TheDaemonMapsNoSlab) {
  HostDevice device;
  const SlabHandle handle = Make(device, kMiB);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    EXPECT_EQ(line.find("nvcv-cached-slab"), std::string::npos) << line;
  }
}

TEST(HostDevice, DescriptorsGoWithTheirSlabAndNotToPrograms) {
  HostDevice device;
  auto open_slabs = [] {
    int count = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      const auto target = std::filesystem::read_symlink(entry.path(), error);
      count += target.string().find("nvcv-cached-slab") != std::string::npos;
    }
    return count;
  };
  {
    const SlabHandle handle = Make(device, kMiB);
    EXPECT_TRUE(::fcntl(handle.memfd.get(), F_GETFD) & FD_CLOEXEC);
    EXPECT_EQ(open_slabs(), 2) << "the device's and the one handed out";
    ASSERT_TRUE(device.FreeSlab(1).ok());
    EXPECT_EQ(open_slabs(), 1);
  }
  EXPECT_EQ(open_slabs(), 0);
}

// The kernel would answer with the group's OOM killer.
TEST(HostDevice, AsksTheControlGroupBeforeTheKernel) {
  FakeSystem system;
  system.Write("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 8388608 kB\n");
  system.Write("/proc/self/cgroup", "0::/pod\n");
  system.Write("/sys/fs/cgroup/pod/memory.max", "67108864\n");
  system.Write("/sys/fs/cgroup/pod/memory.current", "50331648\n");
  HostDevice device({.root = system.root()});
  EXPECT_EQ(device.info().total_bytes, 64 * kMiB);
  EXPECT_EQ(device.FreeBytes(), 16 * kMiB);
  EXPECT_TRUE(device.AllocateSlab(1, 16 * kMiB).ok());
  const absl::Status status = device.AllocateSlab(2, 17 * kMiB).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("16.0MiB left of 64.0MiB"), std::string::npos) << status;
  EXPECT_NE(status.message().find("/pod"), std::string::npos) << status;
}

TEST(HostDevice, WithHugePagesOnAdviceSlabsAreTheSame) {
  FakeSystem system;
  system.Write("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 8388608 kB\n");
  system.Write("/sys/kernel/mm/transparent_hugepage/shmem_enabled",
               "always within_size [advise] never deny force\n");
  HostDevice device({.root = system.root()});
  const SlabHandle handle = Make(device, 4 * kMiB);
  struct stat info {};
  ASSERT_EQ(::fstat(handle.memfd.get(), &info), 0);
  EXPECT_GE(static_cast<uint64_t>(info.st_blocks) * 512, 4 * kMiB);
  EXPECT_NE(::ftruncate(handle.memfd.get(), 0), 0);
}

}  // namespace
}  // namespace nvcv_cached::server::testing
