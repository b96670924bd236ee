// Formats, colour specifications, types: NVCV's names and values, and the planes of each.
#include "nvcv_cached/format.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <unordered_set>

#include "nvcv_cached/color_spec.h"
#include "nvcv_cached/error.h"

namespace nvcv_cached {
namespace {

TEST(Format, HasNvcvsValues) {
  EXPECT_EQ(Format::kU8.value(), 171798626433u);
  EXPECT_EQ(Format::kF16.value(), 4611687152298688641u);
  EXPECT_EQ(Format::kF32.value(), 4611689351321944193u);
  EXPECT_EQ(Format::kRGB8.value(), 2748780183691u);
  EXPECT_EQ(Format::kRGBA8.value(), 4123169718404u);
  EXPECT_EQ(Format::kNV12.value(), 422372622073987u);
  EXPECT_EQ(Format::kLAB8.value(), 2748789489795u);
  EXPECT_EQ(Format::kNONE, Format());
}

TEST(Format, NamesGoBothWays) {
  ASSERT_EQ(Format::Names().size(), 91u);
  std::set<std::string> names(Format::Names().begin(), Format::Names().end());
  EXPECT_EQ(names.size(), 91u);
  for (const std::string& name : names) {
    const auto format = Format::FromName(name);
    ASSERT_TRUE(format) << name;
    if (name.rfind("NV21", 0) == 0) {  // shares NV12's value
      EXPECT_EQ(format->name(), "NV12" + name.substr(4));
    } else {
      EXPECT_EQ(format->name(), name);
    }
  }
  EXPECT_EQ(Format::FromName("2F32"), Format::k2F32);
  EXPECT_FALSE(Format::FromName("YUV8"));
  EXPECT_EQ(Format(12345).name(), "???");
  EXPECT_EQ(std::unordered_set<Format>({Format::kU8, Format(Format::kU8.value())}).size(), 1u);
}

TEST(Format, PlanesAddUpToChannels) {
  for (const std::string& name : Format::Names()) {
    const Format format = *Format::FromName(name);
    int stored = 0;
    for (int plane = 0; plane < format.planes(); ++plane) {
      ASSERT_TRUE(format.plane_type(plane).is_supported()) << name;
      stored += format.plane_type(plane).components();
    }
    const bool packed_422 =
        name.find("YUYV") == 0 || name.find("YVY") != std::string::npos || name.find("VYUY") == 0;
    if (packed_422 || name == "RGBA8_3POS3D_U32") {
      EXPECT_EQ(stored, format.channels() - 1) << name;
    } else {
      EXPECT_EQ(stored, format.channels()) << name;
    }
    EXPECT_EQ(format.is_block_linear(), name.find("_BL") != std::string::npos) << name;
    const bool subsampled = packed_422 || name.find("NV12") == 0 || name.find("NV21") == 0;
    EXPECT_EQ(format.is_subsampled(), subsampled) << name;
  }
}

TEST(Format, PlanesOfSubsampledFormatsAreHalvedRoundingUp) {
  EXPECT_EQ(Format::kNV12.plane_size(0, {7, 5}), (Size{7, 5}));
  EXPECT_EQ(Format::kNV12.plane_size(1, {7, 5}), (Size{4, 3}));
  EXPECT_EQ(Format::kNV12.plane_size(1, {8, 4}), (Size{4, 2}));
  EXPECT_EQ(Format::kNV24.plane_size(1, {7, 5}), (Size{7, 5}));
  EXPECT_EQ(Format::kNV12.plane_type(1), DataType(DataKind::kUnsigned, 8, 2));
  EXPECT_EQ(Format::kYUYV.plane_type(0).size_bytes(), 2);
  EXPECT_EQ(Format::kRGBf32.plane_type(0).size_bytes(), 12);
  EXPECT_EQ(Format::kRGBA8_3POS3D_U32.plane_type(0).size_bytes(), 3);
  EXPECT_THROW(Format::kRGB8.plane_type(1), InvalidArgument);
  EXPECT_THROW(Format::kNONE.plane_size(0, {1, 1}), InvalidArgument);
}

TEST(ColorSpec, HasNvcvsValues) {
  EXPECT_EQ(static_cast<int>(ColorSpec::kBT601), 21665);
  EXPECT_EQ(static_cast<int>(ColorSpec::kBT601_ER), 5281);
  EXPECT_EQ(static_cast<int>(ColorSpec::kBT709), 21793);
  EXPECT_EQ(static_cast<int>(ColorSpec::kBT709_ER), 5409);
  EXPECT_EQ(static_cast<int>(ColorSpec::kBT2020), 21930);
  EXPECT_EQ(static_cast<int>(ColorSpec::kBT2020_ER), 5546);
  EXPECT_EQ(color_spec_from_name("BT709_ER"), ColorSpec::kBT709_ER);
  EXPECT_EQ(color_spec_name(ColorSpec::kBT2020), "BT2020");
  EXPECT_EQ(color_spec_name(static_cast<ColorSpec>(1)), "???");
  EXPECT_FALSE(color_spec_from_name("BT2100"));
}

}  // namespace
}  // namespace nvcv_cached
