/// @class nvcv_cached::Format
/// How the pixels of an image lie in memory and what they mean: NVCV's image formats.
///
/// A value of 64 bits, the same as NVCV's. The 91 named ones are constants: Format::kRGB8, kNV12,
/// k2F32 ... (format_values.h). An image has one plane (packed: RGB8), one for each channel (planar:
/// RGB8p), or a plane of luma and one of chroma (NV12, whose second plane is half as wide and high,
/// rounded up). Names that end in _BL are block linear: they have a name here, and no memory.
/// Immutable, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nvcv_cached/data_type.h"
#include "nvcv_cached/export.h"
#include "nvcv_cached/format_values.h"
#include "nvcv_cached/geometry.h"

namespace nvcv_cached {

inline constexpr int kMaxPlanes = 4;  ///< of any format

class NVCV_CACHED_API Format {
 public:
  constexpr Format() = default;  ///< kNONE, which has no memory
  /// Of any value; name() is "???" for one that NVCV has not named.
  constexpr explicit Format(std::uint64_t value) : value_(value) {}

  constexpr std::uint64_t value() const { return value_; }  ///< NVCV's number
  /// Tiled, as video decoders of GPUs leave it: an image of it cannot be made here.
  constexpr bool is_block_linear() const { return (value_ >> 12 & 7) != 0; }

  std::string name() const;  ///< "RGB8", "_2F32"; "???" for a value without a name
  static std::optional<Format> FromName(std::string_view name);  ///< "RGB8", "_2F32", "2F32"
  static const std::vector<std::string>& Names();                ///< all 91, in NVCV's order

  int planes() const;          ///< of a named format; 0 for others and for kNONE
  int channels() const;        ///< in all planes together; 3 for packed 4:2:2
  bool is_subsampled() const;  ///< chroma has fewer pixels than luma

  /// One pixel of a plane: 3U8 for RGB8, 2U8 for the second plane of NV12 and for packed 4:2:2.
  /// Throws InvalidArgument for a plane that is not there.
  DataType plane_type(int plane) const;

  /// In pixels of that plane, for an image of that size. Throws InvalidArgument likewise.
  Size plane_size(int plane, Size image) const;

  /// By value.
  friend constexpr bool operator==(Format a, Format b) { return a.value_ == b.value_; }
  /// By value.
  friend constexpr bool operator!=(Format a, Format b) { return a.value_ != b.value_; }

#define NVCV_CACHED_DECLARE_FORMAT(name, value) static const Format k##name;
  NVCV_CACHED_FORMATS(NVCV_CACHED_DECLARE_FORMAT)
#undef NVCV_CACHED_DECLARE_FORMAT

 private:
  std::uint64_t value_ = 0;
};

#define NVCV_CACHED_DEFINE_FORMAT(name, value) inline constexpr Format Format::k##name{value};
NVCV_CACHED_FORMATS(NVCV_CACHED_DEFINE_FORMAT)
#undef NVCV_CACHED_DEFINE_FORMAT

}  // namespace nvcv_cached

/// @cond
template <>
struct std::hash<nvcv_cached::Format> {
  std::size_t operator()(nvcv_cached::Format format) const noexcept {
    return std::hash<std::uint64_t>()(format.value());
  }
};
/// @endcond
