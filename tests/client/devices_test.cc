// Several devices in one process: a thread has a cache for each, and an item goes back to its own.
#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "client/src/thread_cache.h"
#include "nvcv_cached/buffer.h"
#include "tests/client/fake_source.h"
#include "tests/client/test_process.h"

namespace nvcv_cached::client {
namespace {

// On threads of their own: only a thread without objects begins to follow.
void InThread(const auto& what) { std::thread(what).join(); }

class DevicesTest : public testing::Test {
 protected:
  DevicesTest() {
    AddSecondDevice(&device1_);
    TestDevice().depot.Sweep(1 << 20);
  }
  ~DevicesTest() override { AddSecondDevice(nullptr); }

  FakeSource& daemon0_ = FakeSource::Install();
  FakeSource& daemon1_ = FakeSource::Make();
  DeviceCache& device1_ = *new DeviceCache(daemon1_);  // thread caches go on naming it
};

TEST_F(DevicesTest, TheCurrentOneAtEachObjectDecides) {
  InThread([&] {
    Buffer on0(4096);
    MakeCurrent(1);
    Buffer on1(4096);
    EXPECT_EQ(daemon0_.Books().in_use, 1);
    EXPECT_EQ(daemon1_.Books().in_use, 1);
  });
}

TEST_F(DevicesTest, C2_BothHaveHitsInTurn) {
  InThread([&] {
    for (int i = 0; i < 10; ++i) {
      MakeCurrent(i % 2);
      Buffer buffer(4096);
    }
  });
  EXPECT_EQ(daemon0_.acquires(), 1);
  EXPECT_EQ(daemon1_.acquires(), 1);
  EXPECT_EQ(daemon0_.hits().exact, 4u);
  EXPECT_EQ(daemon1_.hits().exact, 4u);
}

TEST_F(DevicesTest, C2_ReleasedWhileTheOtherIsCurrentAnItemGoesBackToItsOwn) {
  InThread([&] {
    std::optional<Buffer> on0(4096);
    void* const memory = on0->data();
    MakeCurrent(1);
    Buffer on1(4096);
    on0.reset();
    EXPECT_EQ(daemon0_.Books().idle, 1);
    Buffer another(4096);
    EXPECT_NE(another.data(), memory);
    MakeCurrent(0);
    EXPECT_EQ(Buffer(4096).data(), memory);
  });
}

TEST_F(DevicesTest, C7_AThreadLeavesEachDevicesItemsToItsDepot) {
  InThread([&] {
    Buffer on0(4096);
    MakeCurrent(1);
    Buffer on1(4096);
  });
  EXPECT_EQ(TestDevice().depot.size(), 1u);
  EXPECT_EQ(device1_.depot.size(), 1u);
  InThread([&] {
    MakeCurrent(1);
    Buffer buffer(4096);
  });
  EXPECT_EQ(daemon1_.hits().depot, 1u);
  EXPECT_EQ(daemon0_.hits().depot, 0u);
}

TEST_F(DevicesTest, AnItemReleasedOnAnotherThreadGoesBackToItsOwn) {
  InThread([&] {
    MakeCurrent(1);
    std::optional<Buffer> on1(4096);
    InThread([&] { on1.reset(); });
    EXPECT_EQ(daemon1_.Books().idle, 1);
    Buffer again(4096);
    EXPECT_EQ(daemon1_.acquires(), 1);
  });
}

TEST_F(DevicesTest, AThreadThatNamedADeviceStaysThere) {
  InThread([&] {
    Buffer on0(4096);
    ThreadCache::SwitchTo({.device = &device1_});
    MakeCurrent(0);
    Buffer on1(4096);
    EXPECT_EQ(daemon1_.Books().in_use, 1);
    EXPECT_EQ(daemon0_.Books().in_use, 1);
  });
}

}  // namespace
}  // namespace nvcv_cached::client
