// Strides, bytes and names as NVCV has them.
#include "client/src/strides.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "nvcv_cached/error.h"
#include "nvcv_cached/tensor.h"

namespace nvcv_cached::client {
namespace {

using Strides = std::vector<int64_t>;

DataType Named(const char* name) { return DataType::FromName(name).value(); }

absl::StatusOr<Footprint> Try(const Shape& shape, const char* dtype, const char* layout,
                              int row_align = 0) {
  return FootprintOf(Spec::OfTensor(shape, Named(dtype), layout, row_align), DeviceTraits{});
}

struct Expected {
  Strides element_strides;
  uint64_t size_bytes;
};

void ExpectFootprint(const Shape& shape, const char* dtype, const char* layout, int row_align,
                     const Expected& expected) {
  SCOPED_TRACE(shape.str() + " " + dtype + " " + layout);
  const auto footprint = Try(shape, dtype, layout, row_align);
  ASSERT_TRUE(footprint.ok()) << footprint.status();
  Strides strides;
  for (int d = 0; d < shape.rank(); ++d) {
    EXPECT_EQ(footprint->strides[d] % Named(dtype).size_bytes(), 0);
    strides.push_back(footprint->strides[d] / Named(dtype).size_bytes());
  }
  EXPECT_EQ(strides, expected.element_strides);
  EXPECT_EQ(footprint->size_bytes, expected.size_bytes);
}

std::string Message(const absl::StatusOr<Footprint>& refused) {
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(refused.status().message());
}

TEST(Strides, AreThoseOfNvcv) {
  ExpectFootprint({480, 640, 3}, "U8", "HWC", 0, {{1920, 3, 1}, 921600});
  ExpectFootprint({480, 640, 3}, "U8", "", 0, {{20480, 32, 1}, 9830400});
  ExpectFootprint({480, 640, 3}, "U8", "CHW", 0, {{20480, 32, 1}, 9830400});
  ExpectFootprint({16, 32}, "U8", "", 0, {{32, 1}, 512});
  ExpectFootprint({5, 16, 32, 4}, "F32", "NHWC", 0, {{2048, 128, 4, 1}, 40960});
  ExpectFootprint({7, 3, 33, 11}, "C64", "NCHW", 0, {{1188, 396, 12, 1}, 66560});
  ExpectFootprint({3, 5, 7}, "4F32", "NHW", 0, {{40, 8, 1}, 2048});
  ExpectFootprint({2, 7, 37, 3}, "U8", "NHWC", 1, {{777, 111, 3, 1}, 2048});
  ExpectFootprint({3, 6}, "U8", "", 64, {{64, 1}, 512});
  ExpectFootprint({1000, 1000, 3}, "F32", "HWC", 0, {{3000, 3, 1}, 12000256});
  ExpectFootprint({10}, "U8", "", 0, {{1}, 512});
  ExpectFootprint({10, 10, 3}, "U8", "HWC", 0, {{32, 3, 1}, 512});
}

TEST(Strides, RowsOfOddPixelsArePaddedInBytes) {
  const auto footprint = Try({3, 5, 7}, "3F32", "NHW");
  ASSERT_TRUE(footprint.ok());
  EXPECT_EQ(footprint->strides[2], 12);
  EXPECT_EQ(footprint->strides[1], 96);  // 84 rounded up
  EXPECT_EQ(footprint->strides[0], 480);
  EXPECT_EQ(footprint->size_bytes, 1536u);
}

TEST(Strides, AnExtentOfZeroIsAnEmptyTensor) {
  for (const Shape& shape : {Shape{0}, Shape{0, 640, 3}, Shape{480, 0, 3}, Shape{480, 640, 0}}) {
    const auto footprint = Try(shape, "U8", "");
    ASSERT_TRUE(footprint.ok());
    EXPECT_EQ(footprint->size_bytes, 0u);
  }
}

TEST(Strides, RowAlignRaisesTheBase) {
  const auto footprint = Try({3, 6}, "U8", "", 4096);
  ASSERT_TRUE(footprint.ok());
  EXPECT_EQ(footprint->strides[0], 4096);
  EXPECT_EQ(footprint->alignment, 4096u);
  EXPECT_EQ(footprint->size_bytes, 12288u);
  EXPECT_EQ(Try({3, 6}, "U8", "")->alignment, 512u);
}

TEST(Strides, RefusalsSayTheNumbers) {
  EXPECT_EQ(Message(Try({3, 6}, "U8", "", 48)),
            "rowalign 48 is not a power of two; do: use 32 or 64");
  EXPECT_EQ(Message(Try({3, 6}, "U8", "", 4194304)),
            "rowalign 4194304 is above 2097152; do: use 2097152 at most");
  EXPECT_EQ(Message(Try({3, 6}, "U8", "", -4)),
            "rowalign -4 is negative; do: use 0 for the device's own, or 32");
  EXPECT_EQ(Message(Try({3, -6}, "U8", "")), "extent 1 of Tensor 3x-6 u8 is -6; do: use 0 or more");
  EXPECT_EQ(Message(Try({3, 6}, "U8", "HWC")),
            "layout HWC has rank 3, the shape of Tensor 3x6 u8 has rank 2; do: give each "
            "dimension a label");
  EXPECT_EQ(Message(Try({1LL << 40, 1LL << 24}, "U8", "")),
            "Tensor 1099511627776x16777216 u8 needs more than 9223372036854775807 bytes (63 "
            "bits); do: make it smaller");
  EXPECT_EQ(Message(Try({INT64_MAX, 1}, "U8", "")).find("Tensor 9223372036854775807x1"), 0u);
  EXPECT_EQ(Message(Try({INT64_MAX}, "U8", "")).find("Tensor 9223372036854775807"), 0u);
  EXPECT_EQ(Message(FootprintOf(Spec::OfTensor({3}, DataType(DataKind::kFloat, 8), "", 0),
                                DeviceTraits{})),
            "type F8 is not one of the 50 supported; do: use U8, F32, 3F32 or another of DataType");
}

TEST(Strides, BuffersCountWholeBases) {
  const auto of = [](uint64_t bytes, uint32_t alignment) {
    return FootprintOf(Spec::OfBuffer(bytes, alignment), DeviceTraits{});
  };
  EXPECT_EQ(of(1, 0)->size_bytes, 512u);
  EXPECT_EQ(of(512, 0)->size_bytes, 512u);
  EXPECT_EQ(of(513, 0)->size_bytes, 1024u);
  EXPECT_EQ(of(1, 0)->alignment, 512u);
  EXPECT_EQ(of(1, 64)->alignment, 64u);
  EXPECT_EQ(Message(of(1, 48)), "alignment 48 is not a power of two; do: use 32 or 64");
  EXPECT_EQ(Message(of(UINT64_MAX, 0)),
            "Buffer 18446744073709551615 needs more than 9223372036854775807 bytes (63 bits); do: "
            "make it smaller");
  EXPECT_EQ(of(INT64_MAX, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(DataType, HasTheFiftyOfNvcv) {
  std::set<uint32_t> types;
  for (DataKind kind : {DataKind::kNone, DataKind::kUnsigned, DataKind::kSigned, DataKind::kFloat,
                        DataKind::kComplex}) {
    for (int bits = 0; bits < 256; ++bits) {
      for (int components = 0; components < 8; ++components) {
        const DataType type(kind, bits, components);
        if (!type.is_supported()) continue;
        types.insert(type.packed());
        EXPECT_EQ(DataType::FromName(type.name()), type) << type.name();
        EXPECT_EQ(DataType::FromName("_" + type.name()), type) << type.name();
      }
    }
  }
  EXPECT_EQ(types.size(), 50u);
}

TEST(DataType, NamesThatAreNone) {
  for (const char* name : {"", "_", "U", "8U", "U7", "u8", "F8", "5U8", "3C128", "U8 ", "U08",
                           "NONE", "U+8", "22U8", "__U8"}) {
    EXPECT_FALSE(DataType::FromName(name).has_value()) << name;
  }
  EXPECT_EQ(DataType().name(), "NONE");
  EXPECT_EQ(DataType::kC64.size_bytes(), 8);
}

TEST(Shape, HasOneToFifteenExtents) {
  EXPECT_THROW(Shape({}), InvalidArgument);
  EXPECT_THROW(Shape(std::vector<int64_t>(16, 1)), InvalidArgument);
  EXPECT_EQ(Shape(std::vector<int64_t>(15, 1)).rank(), 15);
  EXPECT_EQ(Shape({480, 640, 3}).str(), "(480, 640, 3)");
  EXPECT_EQ(Shape({7}).str(), "(7,)");
  EXPECT_NE(Shape({7}), Shape({7, 1}));
  try {
    Shape(std::vector<int64_t>(16, 1));
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "NVCV_ERROR_INVALID_ARGUMENT: a shape of rank 16; do: give 1 to 15 extents");
  }
}

TEST(TensorLayout, HasUpToFifteenLabels) {
  EXPECT_EQ(TensorLayout("NHWC").str(), "NHWC");
  EXPECT_EQ(TensorLayout("NHWC").rank(), 4);
  EXPECT_TRUE(TensorLayout("").empty());
  EXPECT_EQ(TensorLayout("ABCDEFGHIJKLMNO").rank(), 15);
  EXPECT_THROW(TensorLayout("ABCDEFGHIJKLMNOP"), InvalidArgument);
  EXPECT_THROW(TensorLayout(std::string_view("A\0B", 3)), InvalidArgument);
}

}  // namespace
}  // namespace nvcv_cached::client
