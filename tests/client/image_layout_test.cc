// Where the bytes of an image lie: NVCV 0.19's examples.
#include "client/src/image_layout.h"

#include <gtest/gtest.h>

#include <vector>

namespace nvcv_cached::client {
namespace {

struct Example {
  Size size;
  Format format;
  int row_align;
  std::vector<int64_t> rows;
  uint64_t bytes;
};

TEST(ImageLayout, IsNvcvs) {
  const std::vector<Example> examples = {
      {{1, 1}, Format::kF32, 0, {32}, 512},
      {{640, 480}, Format::kU8, 0, {640}, 307200},
      {{37, 11}, Format::kU8, 1, {37}, 512},
      {{7, 5}, Format::kNV12, 0, {32, 32}, 1024},
      {{258, 232}, Format::kNV12, 0, {288, 288}, 100864},
      {{100, 100}, Format::kRGB8p, 0, {128, 128, 128}, 38400},
      {{101, 100}, Format::kRGB8, 0, {384}, 38400},
      {{37, 1}, Format::kRGB8, 0, {128}, 512},
      {{37, 1}, Format::kRGBf16, 0, {256}, 512},
      {{37, 1}, Format::kRGBf32, 0, {512}, 512},
      {{37, 1}, Format::kRGBA8, 0, {160}, 512},
      {{37, 1}, Format::kU16, 0, {96}, 512},
      {{37, 1}, Format::kC128, 0, {608}, 1024},
      {{37, 1}, Format::kRGB8, 16, {112}, 512},
      {{37, 1}, Format::kRGBf16, 16, {224}, 512},
      {{37, 1}, Format::kRGBf32, 16, {448}, 512},
      {{37, 1}, Format::kRGBA8, 16, {160}, 512},
      {{37, 1}, Format::kU16, 16, {80}, 512},
      {{37, 1}, Format::kC128, 16, {592}, 1024},
      {{0, 0}, Format::kRGB8, 0, {0}, 0},
  };
  for (const Example& example : examples) {
    const Spec spec = Spec::OfImage(example.size, example.format, example.row_align);
    const auto footprint = ImageFootprint(spec, DeviceTraits{});
    ASSERT_TRUE(footprint.ok()) << footprint.status();
    for (size_t plane = 0; plane < example.rows.size(); ++plane) {
      EXPECT_EQ(footprint->strides[plane], example.rows[plane]) << SpecText(spec) << " " << plane;
    }
    EXPECT_EQ(footprint->size_bytes, example.bytes) << SpecText(spec);
  }
}

TEST(ImageLayout, PlanesFollowEachOther) {
  const int64_t rows[] = {288, 288};
  EXPECT_EQ(PlaneOffset(Spec::OfImage({258, 232}, Format::kNV12, 0), rows, 1), 288 * 232);
  const int64_t planar[] = {128, 128, 128};
  EXPECT_EQ(PlaneOffset(Spec::OfImage({100, 100}, Format::kRGB8p, 0), planar, 2), 25600);
}

TEST(ImageLayout, RefusesWhatHasNoMemory) {
  const auto text = [](Size size, Format format, int row_align) {
    return std::string(
        ImageFootprint(Spec::OfImage(size, format, row_align), DeviceTraits{}).status().message());
  };
  EXPECT_NE(text({1, 1}, Format::kNONE, 0).find("NONE"), std::string::npos);
  EXPECT_NE(text({1, 1}, Format::kNV12_BL, 0).find("block linear"), std::string::npos);
  EXPECT_NE(text({1, 1}, Format(77), 0).find("77"), std::string::npos);
  EXPECT_NE(text({-1, 1}, Format::kU8, 0).find("-1x1"), std::string::npos);
  EXPECT_NE(text({1, 1}, Format::kU8, 48).find("32 or 64"), std::string::npos);
  EXPECT_NE(text({2147483647, 2147483647}, Format::kRGBAf32p, 0).find("63 bits"),
            std::string::npos);
}

TEST(BatchFootprint, CountsNvcvsBytes) {
  for (const auto& [kind, bytes] :
       {std::pair{Kind::kImageBatch, 800}, {Kind::kTensorBatch, 1280}}) {
    const auto footprint = FootprintOf(Spec::OfBatch(kind, 5), DeviceTraits{});
    ASSERT_TRUE(footprint.ok());
    EXPECT_EQ(footprint->size_bytes, static_cast<uint64_t>(bytes));
    EXPECT_FALSE(FootprintOf(Spec::OfBatch(kind, -1), DeviceTraits{}).ok());
  }
}

}  // namespace
}  // namespace nvcv_cached::client
