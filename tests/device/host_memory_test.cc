// The smaller of RAM and every control group above us, in both versions of the hierarchy.
#include "proto/host_memory.h"

#include <gtest/gtest.h>

#include "tests/device/fake_system.h"

namespace nvcv_cached::server::testing {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr char kMachine[] =
    "MemTotal:       8388608 kB\nMemFree: 1 kB\nMemAvailable:   4194304 kB\n";

class HostMemoryTest : public ::testing::Test {
 protected:
  HostMemoryTest() { system_.Write("/proc/meminfo", kMachine); }
  FakeSystem system_;
};

TEST_F(HostMemoryTest, WithoutGroupsItIsTheMachine) {
  const HostMemory memory = ReadHostMemory(system_.root());
  EXPECT_EQ(memory.total_bytes, 8 * kGiB);
  EXPECT_EQ(memory.free_bytes, 4 * kGiB);
  EXPECT_EQ(memory.bound_by, "memory of the machine");
}

TEST_F(HostMemoryTest, AnyGroupOnTheWayUpBounds) {
  system_.Write("/proc/self/cgroup", "0::/outer/inner\n");
  system_.Write("/sys/fs/cgroup/outer/memory.max", "2147483648\n");
  system_.Write("/sys/fs/cgroup/outer/memory.current", "1073741824\n");
  system_.Write("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  const HostMemory memory = ReadHostMemory(system_.root());
  EXPECT_EQ(memory.total_bytes, 2 * kGiB);
  EXPECT_EQ(memory.free_bytes, 1 * kGiB);
  EXPECT_EQ(memory.bound_by, system_.root() + "/sys/fs/cgroup/outer");
}

TEST_F(HostMemoryTest, FilesThatCanBeDroppedCountAsFree) {
  system_.Write("/proc/self/cgroup", "0::/pod\n");
  system_.Write("/sys/fs/cgroup/pod/memory.max", "2147483648\n");
  system_.Write("/sys/fs/cgroup/pod/memory.current", "2147483648\n");
  system_.Write("/sys/fs/cgroup/pod/memory.stat", "anon 1073741824\ninactive_file 1073741824\n");
  EXPECT_EQ(ReadHostMemory(system_.root()).free_bytes, 1 * kGiB);
}

// In a container the path may name folders of the host; the mount's root is the container's own.
TEST_F(HostMemoryTest, TheRootOfTheMountBoundsInAContainer) {
  system_.Write("/proc/self/cgroup", "0::/../somewhere\n");
  system_.Write("/sys/fs/cgroup/memory.max", "1073741824\n");
  EXPECT_EQ(ReadHostMemory(system_.root()).total_bytes, 1 * kGiB);
}

TEST_F(HostMemoryTest, VersionOneAndItsWayToSayNoLimit) {
  system_.Write("/proc/self/cgroup", "5:cpu,memory:/a\n3:pids:/b\n");
  system_.Write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(ReadHostMemory(system_.root()).total_bytes, 8 * kGiB);
  system_.Write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "3221225472\n");
  system_.Write("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "4294967296\n");
  const HostMemory memory = ReadHostMemory(system_.root());
  EXPECT_EQ(memory.total_bytes, 3 * kGiB);
  EXPECT_EQ(memory.free_bytes, 0u) << "used above the limit is not negative";
}

TEST_F(HostMemoryTest, ALimitAboveTheMachineBoundsNothing) {
  system_.Write("/proc/self/cgroup", "0::/\n");
  system_.Write("/sys/fs/cgroup/memory.max", "1099511627776\n");
  const HostMemory memory = ReadHostMemory(system_.root());
  EXPECT_EQ(memory.total_bytes, 8 * kGiB);
  EXPECT_EQ(memory.free_bytes, 4 * kGiB);
}

}  // namespace
}  // namespace nvcv_cached::server::testing
