#include "nvcv_cached/format.h"

#include <unordered_map>

#include "nvcv_cached/error.h"

namespace nvcv_cached {
namespace {

// `planes` names the type of one pixel of each plane; "/" marks one that is half as wide and high.
struct Row {
  const char* name;
  Format format;
  const char* planes;
  int channels;
};
constexpr Row kRows[] = {
    {"_2S16", Format::k2S16, "2S16", 2},
    {"_2S16_BL", Format::k2S16_BL, "2S16", 2},
    {"_2F16", Format::k2F16, "2F16", 2},
    {"_2F32", Format::k2F32, "2F32", 2},
    {"_2C64", Format::k2C64, "2C64", 2},
    {"_2C128", Format::k2C128, "2C128", 2},
    {"U8", Format::kU8, "U8", 1},
    {"U8_BL", Format::kU8_BL, "U8", 1},
    {"S8", Format::kS8, "S8", 1},
    {"U16", Format::kU16, "U16", 1},
    {"U32", Format::kU32, "U32", 1},
    {"S32", Format::kS32, "S32", 1},
    {"S16", Format::kS16, "S16", 1},
    {"S16_BL", Format::kS16_BL, "S16", 1},
    {"F16", Format::kF16, "F16", 1},
    {"F32", Format::kF32, "F32", 1},
    {"F64", Format::kF64, "F64", 1},
    {"C64", Format::kC64, "C64", 1},
    {"C128", Format::kC128, "C128", 1},
    {"Y8", Format::kY8, "U8", 1},
    {"Y8_BL", Format::kY8_BL, "U8", 1},
    {"Y8_ER", Format::kY8_ER, "U8", 1},
    {"Y8_ER_BL", Format::kY8_ER_BL, "U8", 1},
    {"Y16", Format::kY16, "U16", 1},
    {"Y16_BL", Format::kY16_BL, "U16", 1},
    {"Y16_ER", Format::kY16_ER, "U16", 1},
    {"Y16_ER_BL", Format::kY16_ER_BL, "U16", 1},
    {"NV12", Format::kNV12, "U8 2U8/", 3},
    {"NV12_BL", Format::kNV12_BL, "U8 2U8/", 3},
    {"NV12_ER", Format::kNV12_ER, "U8 2U8/", 3},
    {"NV12_ER_BL", Format::kNV12_ER_BL, "U8 2U8/", 3},
    {"NV21", Format::kNV21, "U8 2U8/", 3},
    {"NV21_ER", Format::kNV21_ER, "U8 2U8/", 3},
    {"NV24", Format::kNV24, "U8 2U8", 3},
    {"NV24_BL", Format::kNV24_BL, "U8 2U8", 3},
    {"NV24_ER", Format::kNV24_ER, "U8 2U8", 3},
    {"NV24_ER_BL", Format::kNV24_ER_BL, "U8 2U8", 3},
    {"UYVY", Format::kUYVY, "2U8", 3},
    {"UYVY_BL", Format::kUYVY_BL, "2U8", 3},
    {"UYVY_ER", Format::kUYVY_ER, "2U8", 3},
    {"UYVY_ER_BL", Format::kUYVY_ER_BL, "2U8", 3},
    {"VYUY", Format::kVYUY, "2U8", 3},
    {"VYUY_BL", Format::kVYUY_BL, "2U8", 3},
    {"VYUY_ER", Format::kVYUY_ER, "2U8", 3},
    {"VYUY_ER_BL", Format::kVYUY_ER_BL, "2U8", 3},
    {"YUYV", Format::kYUYV, "2U8", 3},
    {"YUYV_BL", Format::kYUYV_BL, "2U8", 3},
    {"YUYV_ER", Format::kYUYV_ER, "2U8", 3},
    {"YUYV_ER_BL", Format::kYUYV_ER_BL, "2U8", 3},
    {"YUV8p", Format::kYUV8p, "U8 U8 U8", 3},
    {"YUV8p_ER", Format::kYUV8p_ER, "U8 U8 U8", 3},
    {"RGB8", Format::kRGB8, "3U8", 3},
    {"BGR8", Format::kBGR8, "3U8", 3},
    {"RGBA8", Format::kRGBA8, "4U8", 4},
    {"BGRA8", Format::kBGRA8, "4U8", 4},
    {"RGB8p", Format::kRGB8p, "U8 U8 U8", 3},
    {"BGR8p", Format::kBGR8p, "U8 U8 U8", 3},
    {"RGBA8p", Format::kRGBA8p, "U8 U8 U8 U8", 4},
    {"BGRA8p", Format::kBGRA8p, "U8 U8 U8 U8", 4},
    {"RGBf16", Format::kRGBf16, "3F16", 3},
    {"BGRf16", Format::kBGRf16, "3F16", 3},
    {"RGBAf16", Format::kRGBAf16, "4F16", 4},
    {"BGRAf16", Format::kBGRAf16, "4F16", 4},
    {"RGBf16p", Format::kRGBf16p, "F16 F16 F16", 3},
    {"BGRf16p", Format::kBGRf16p, "F16 F16 F16", 3},
    {"RGBAf16p", Format::kRGBAf16p, "F16 F16 F16 F16", 4},
    {"BGRAf16p", Format::kBGRAf16p, "F16 F16 F16 F16", 4},
    {"RGBf32", Format::kRGBf32, "3F32", 3},
    {"BGRf32", Format::kBGRf32, "3F32", 3},
    {"RGBAf32", Format::kRGBAf32, "4F32", 4},
    {"BGRAf32", Format::kBGRAf32, "4F32", 4},
    {"RGBf32p", Format::kRGBf32p, "F32 F32 F32", 3},
    {"BGRf32p", Format::kBGRf32p, "F32 F32 F32", 3},
    {"RGBAf32p", Format::kRGBAf32p, "F32 F32 F32 F32", 4},
    {"BGRAf32p", Format::kBGRAf32p, "F32 F32 F32 F32", 4},
    {"HSV8", Format::kHSV8, "3U8", 3},
    {"LAB8", Format::kLAB8, "3U8", 3},
    {"LAB8p", Format::kLAB8p, "U8 U8 U8", 3},
    {"LABf16", Format::kLABf16, "3F16", 3},
    {"LABf16p", Format::kLABf16p, "F16 F16 F16", 3},
    {"LABf32", Format::kLABf32, "3F32", 3},
    {"LABf32p", Format::kLABf32p, "F32 F32 F32", 3},
    {"CMYK8", Format::kCMYK8, "4U8", 4},
    {"YCCK8", Format::kYCCK8, "4U8", 4},
    {"RGBA8_UNASSOCIATED_ALPHA", Format::kRGBA8_UNASSOCIATED_ALPHA, "4U8", 4},
    {"RGB8_1U_U8", Format::kRGB8_1U_U8, "3U8", 3},
    {"RGB8_7U_U8", Format::kRGB8_7U_U8, "3U8", 3},
    {"RGBA8_3U_U16", Format::kRGBA8_3U_U16, "4U8", 4},
    {"RGBA8_3POS3D_U32", Format::kRGBA8_3POS3D_U32, "3U8", 4},
    {"RGB8_3D_F32", Format::kRGB8_3D_F32, "3U8", 3},
    {"NONE", Format::kNONE, "", 0},
};

struct Plane {
  DataType type;
  int divisor;
};

struct Described {
  const char* name;
  int channels;
  std::vector<Plane> planes;
};

Described Describe(const Row& row) {
  Described described{row.name, row.channels, {}};
  for (std::string_view left(row.planes); !left.empty();) {
    const std::size_t space = left.find(' ');
    std::string_view word = left.substr(0, space);
    left = space == std::string_view::npos ? std::string_view() : left.substr(space + 1);
    const bool half = word.back() == '/';
    if (half) word.remove_suffix(1);
    described.planes.push_back({*DataType::FromName(word), half ? 2 : 1});
  }
  return described;
}

// By value; of formats that share one, the first.
const std::unordered_map<std::uint64_t, Described>& Known() {
  static const auto* const known = [] {
    auto* made = new std::unordered_map<std::uint64_t, Described>;
    for (const Row& row : kRows) made->emplace(row.format.value(), Describe(row));
    return made;
  }();
  return *known;
}

const Described* Find(Format format) {
  const auto found = Known().find(format.value());
  return found == Known().end() ? nullptr : &found->second;
}

const Plane& PlaneOf(Format format, int plane) {
  const Described* described = Find(format);
  const int count = described == nullptr ? 0 : static_cast<int>(described->planes.size());
  if (plane < 0 || plane >= count) {
    throw InvalidArgument("plane " + std::to_string(plane) + " of format " + format.name() +
                              ", which has " + std::to_string(count),
                          "count planes from 0");
  }
  return described->planes[static_cast<std::size_t>(plane)];
}

}  // namespace

std::string Format::name() const {
  const Described* described = Find(*this);
  return described == nullptr ? "???" : described->name;
}

std::optional<Format> Format::FromName(std::string_view name) {
  for (const Row& row : kRows) {
    const std::string_view known(row.name);
    if (known == name || (known.front() == '_' && known.substr(1) == name)) return row.format;
  }
  return std::nullopt;
}

const std::vector<std::string>& Format::Names() {
  static const auto* const names = [] {
    auto* made = new std::vector<std::string>;
    for (const Row& row : kRows) made->emplace_back(row.name);
    return made;
  }();
  return *names;
}

int Format::planes() const {
  const Described* described = Find(*this);
  return described == nullptr ? 0 : static_cast<int>(described->planes.size());
}

int Format::channels() const {
  const Described* described = Find(*this);
  return described == nullptr ? 0 : described->channels;
}

bool Format::is_subsampled() const {
  const Described* described = Find(*this);
  if (described == nullptr) return false;
  int stored = 0;
  for (const Plane& plane : described->planes) {
    if (plane.divisor != 1) return true;
    stored += plane.type.components();
  }
  // Packed 4:2:2 stores two components a pixel for its three channels; alpha that is a bit of
  // another channel (3POS3D) is no sub-sampling.
  return stored == 2 && described->channels == 3;
}

DataType Format::plane_type(int plane) const { return PlaneOf(*this, plane).type; }

Size Format::plane_size(int plane, Size image) const {
  const int divisor = PlaneOf(*this, plane).divisor;
  return {image.width / divisor + image.width % divisor,
          image.height / divisor + image.height % divisor};
}

}  // namespace nvcv_cached
