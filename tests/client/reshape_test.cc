// Reshape: NVCV 0.19's examples and its rule, that a dimension does not span padding.
#include "client/src/reshape.h"

#include <gtest/gtest.h>

#include <vector>

namespace nvcv_cached::client {
namespace {

// (10, 10, 3) U8 HWC with rows of 32 bytes.
const Shape kFrom{10, 10, 3};
constexpr int64_t kStrides[] = {32, 3, 1};

std::vector<int64_t> StridesOf(const Shape& to) {
  const auto reshaped = Reshaped(kFrom, kStrides, 1, to);
  EXPECT_TRUE(reshaped.ok()) << reshaped.status();
  if (!reshaped.ok()) return {};
  return {reshaped->strides, reshaped->strides + to.rank()};
}

TEST(Reshape, IsNvcvs) {
  using Strides = std::vector<int64_t>;
  EXPECT_EQ(StridesOf({1, 10, 10, 3}), (Strides{320, 32, 3, 1}));
  EXPECT_EQ(StridesOf({10, 10, 3, 1}), (Strides{32, 3, 1, 1}));
  EXPECT_EQ(StridesOf({10, 1, 10, 3}), (Strides{32, 32, 3, 1}));
  EXPECT_EQ(StridesOf({10, 2, 5, 3}), (Strides{32, 15, 3, 1}));
  EXPECT_EQ(StridesOf({2, 5, 10, 3}), (Strides{160, 32, 3, 1}));
  EXPECT_EQ(StridesOf({10, 30}), (Strides{32, 1}));
}

TEST(Reshape, DoesNotSpanPadding) {
  for (const Shape& to : {Shape{300}, Shape{5, 60}, Shape{30, 10}}) {
    const auto reshaped = Reshaped(kFrom, kStrides, 1, to);
    ASSERT_FALSE(reshaped.ok()) << to.str();
    EXPECT_NE(reshaped.status().message().find("span"), std::string::npos) << reshaped.status();
  }
}

TEST(Reshape, KeepsTheVolume) {
  EXPECT_FALSE(Reshaped(kFrom, kStrides, 1, {10, 10, 4}).ok());
  EXPECT_FALSE(Reshaped(kFrom, kStrides, 1, {-10, -30}).ok());
  EXPECT_FALSE(Reshaped(kFrom, kStrides, 1, {1LL << 62, 4, 300}).ok());
}

TEST(Reshape, OfOnesAndOfNothing) {
  constexpr int64_t ones[] = {512, 512};
  EXPECT_TRUE(Reshaped({1, 1}, ones, 1, {1}).ok());
  EXPECT_TRUE(Reshaped({0, 5}, ones, 1, {5, 0, 3}).ok());
  EXPECT_FALSE(Reshaped({0, 5}, ones, 1, {5}).ok());
}

}  // namespace
}  // namespace nvcv_cached::client
