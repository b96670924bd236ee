// What the numbers of a colour image mean: NVCV's six colour specifications, by their values there.
// _ER is the extended range (0 to 255 for 8 bits), the others are the limited one of video.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "nvcv_cached/export.h"

namespace nvcv_cached {

enum class ColorSpec : std::uint32_t {
  kBT601 = 21665,
  kBT601_ER = 5281,
  kBT709 = 21793,
  kBT709_ER = 5409,
  kBT2020 = 21930,
  kBT2020_ER = 5546,
};

NVCV_CACHED_API std::string_view color_spec_name(ColorSpec spec);  // "BT601"; "???" for others
NVCV_CACHED_API std::optional<ColorSpec> color_spec_from_name(std::string_view name);

}  // namespace nvcv_cached
