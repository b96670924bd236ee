/// @file
/// What the numbers of a colour image mean: NVCV's six colour specifications, by their values there.
/// _ER is the extended range (0 to 255 for 8 bits), the others are the limited one of video.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "nvcv_cached/export.h"

namespace nvcv_cached {

/// See the file's text; values are NVCV's.
enum class ColorSpec : std::uint32_t {
  kBT601 = 21665,     ///< BT.601, limited range
  kBT601_ER = 5281,   ///< BT.601, extended
  kBT709 = 21793,     ///< BT.709, limited
  kBT709_ER = 5409,   ///< BT.709, extended
  kBT2020 = 21930,    ///< BT.2020, limited
  kBT2020_ER = 5546,  ///< BT.2020, extended
};

NVCV_CACHED_API std::string_view color_spec_name(ColorSpec spec);  ///< "BT601"; "???" for others

/// By its name, as color_spec_name gives it; nullopt for others.
NVCV_CACHED_API std::optional<ColorSpec> color_spec_from_name(std::string_view name);

}  // namespace nvcv_cached
