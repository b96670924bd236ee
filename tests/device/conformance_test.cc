#include "tests/device/conformance.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "proto/units.h"
#include "server/device/host_device.h"
#include "tests/device/cuda_under_test.h"

namespace nvcv_cached::server::testing {
namespace {

TEST_P(DeviceConformance, SaysWhatItIs) {
  const DeviceInfo& info = device().info();
  EXPECT_TRUE(info.kind == "host" || info.kind == "cuda") << info.kind;
  EXPECT_FALSE(info.id.empty());
  EXPECT_EQ(info.id.find('/'), std::string::npos) << "it names a socket";
  EXPECT_FALSE(info.name.empty());
  EXPECT_GT(info.slab_granularity, 0u);
  EXPECT_GE(info.total_bytes, 64 * kMiB);
  EXPECT_LE(device().FreeBytes(), info.total_bytes);
}

TEST_P(DeviceConformance, M4_ASlabIsZeroFromEndToEnd) {
  const uint64_t size = SomeBytes();
  // Dirty memory goes back first, so that zeros are made and not just found.
  for (int round = 0; round < 2; ++round) {
    auto handle = device().AllocateSlab(1, size);
    ASSERT_TRUE(handle.ok()) << handle.status();
    auto view = under_test_.map(*handle, size);
    const std::vector<uint8_t> bytes = view->Read(0, size);
    EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0), static_cast<ptrdiff_t>(size));
    view->Write(0, std::vector<uint8_t>(size, 0xa5));
    ASSERT_TRUE(device().FreeSlab(1).ok());
  }
}

TEST_P(DeviceConformance, TwoMappingsShareOneMemory) {
  const uint64_t size = SomeBytes();
  auto handle = device().AllocateSlab(1, size);
  ASSERT_TRUE(handle.ok()) << handle.status();
  auto one = under_test_.map(*handle, size);
  auto other = under_test_.map(*handle, size);
  one->Write(size - 3, {1, 2, 3});
  EXPECT_EQ(other->Read(size - 3, 3), (std::vector<uint8_t>{1, 2, 3}));
}

TEST_P(DeviceConformance, SlabsAreApart) {
  const uint64_t size = SomeBytes();
  auto a = device().AllocateSlab(1, size);
  auto b = device().AllocateSlab(2, size);
  ASSERT_TRUE(a.ok() && b.ok());
  under_test_.map(*a, size)->Write(0, std::vector<uint8_t>(size, 7));
  EXPECT_EQ(under_test_.map(*b, size)->Read(0, 1), std::vector<uint8_t>{0});
}

// M3: the daemon frees what it believes unmapped; who has it mapped after all must not feel it.
TEST_P(DeviceConformance, FreedWhileMappedStaysValidForWhoMappedIt) {
  const uint64_t size = SomeBytes();
  auto handle = device().AllocateSlab(1, size);
  ASSERT_TRUE(handle.ok());
  auto view = under_test_.map(*handle, size);
  view->Write(0, {42});
  ASSERT_TRUE(device().FreeSlab(1).ok());
  auto next = device().AllocateSlab(2, size);
  ASSERT_TRUE(next.ok());
  under_test_.map(*next, size)->Write(0, {1});
  EXPECT_EQ(view->Read(0, 1), std::vector<uint8_t>{42});
}

TEST_P(DeviceConformance, FreeingTwiceOrTheUnknownIsAnError) {
  EXPECT_EQ(device().FreeSlab(9).code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(device().AllocateSlab(9, SomeBytes()).ok());
  EXPECT_TRUE(device().FreeSlab(9).ok());
  EXPECT_EQ(device().FreeSlab(9).code(), absl::StatusCode::kNotFound);
}

TEST_P(DeviceConformance, ANumberIsUsedOnceAtATime) {
  ASSERT_TRUE(device().AllocateSlab(3, SomeBytes()).ok());
  EXPECT_EQ(device().AllocateSlab(3, SomeBytes()).status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_P(DeviceConformance, SizesAreMultiplesOfTheGranularity) {
  const uint64_t granularity = device().info().slab_granularity;
  for (const uint64_t size : {uint64_t{0}, granularity + 1, granularity - 1, ~uint64_t{0}}) {
    EXPECT_EQ(device().AllocateSlab(1, size).status().code(), absl::StatusCode::kInvalidArgument)
        << size;
  }
  EXPECT_TRUE(device().AllocateSlab(1, granularity).ok()) << "nothing of the failed ones is left";
}

TEST_P(DeviceConformance, C8_ExhaustionSaysWhatWasAskedAndWhatIsLeft) {
  const absl::Status status = device().AllocateSlab(1, under_test_.too_large).status();
  ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  const std::string text(status.message());
  EXPECT_NE(text.find(FormatSize(under_test_.too_large)), std::string::npos) << text;
  EXPECT_NE(text.find("left of " + FormatSize(device().info().total_bytes)), std::string::npos)
      << text;
  EXPECT_TRUE(device().AllocateSlab(1, SomeBytes()).ok()) << "a refusal leaves nothing behind";
}

// ---- the host ----------------------------------------------------------------------------------

class Mapping final : public SlabView {
 public:
  Mapping(int fd, uint64_t size) : size_(size) {
    data_ = static_cast<uint8_t*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  }
  ~Mapping() override { ::munmap(data_, size_); }
  void Write(uint64_t offset, const std::vector<uint8_t>& bytes) override {
    std::memcpy(data_ + offset, bytes.data(), bytes.size());
  }
  std::vector<uint8_t> Read(uint64_t offset, uint64_t count) override {
    return {data_ + offset, data_ + offset + count};
  }

 private:
  uint8_t* data_;
  uint64_t size_;
};

DeviceUnderTest MakeHost() {
  return {.name = "host",
          .device = std::make_unique<HostDevice>(),
          .map = [](const SlabHandle& handle,
                    uint64_t size) { return std::make_unique<Mapping>(handle.memfd.get(), size); },
          .too_large = uint64_t{1} << 50,
          .why_not = ""};
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceConformance, ::testing::Values(&MakeHost, &MakeCuda),
                         [](const auto& made) {
                           return made.param == &MakeHost ? "host" : "cuda";
                         });

}  // namespace
}  // namespace nvcv_cached::server::testing
