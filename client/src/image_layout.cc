#include "client/src/image_layout.h"

#include <bit>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "client/src/alignment.h"
#include "client/src/errors.h"

namespace nvcv_cached::client {
namespace {

Size SizeOf(const Spec& spec) {
  return {static_cast<int>(spec.extents[0]), static_cast<int>(spec.extents[1])};
}

absl::Status CheckImage(const Spec& spec) {
  const Format format = spec.format();
  if (format == Format()) {
    return absl::InvalidArgumentError(
        "an image of format NONE; do: name the format of its pixels, such as RGB8");
  }
  if (format.is_block_linear()) {
    return ForceCode(absl::InvalidArgumentError(absl::StrCat(
                         "format ", format.name(), " is block linear, which has no memory here",
                         "; do: use the format without _BL")),
                     ErrorCode::kNotImplemented);
  }
  if (format.planes() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "format ", format.value(), " is none of the 91 named ones; do: use a member of Format"));
  }
  if (spec.extents[0] < 0 || spec.extents[1] < 0) {
    return absl::InvalidArgumentError(absl::StrCat("an image of ", spec.extents[0], "x",
                                                   spec.extents[1],
                                                   " pixels; do: use sides of 0 or more"));
  }
  const auto row_align = static_cast<int32_t>(spec.alignment);
  if (row_align != 0 && !IsAlignment(row_align)) return BadAlignment("rowalign", row_align);
  return absl::OkStatus();
}

uint64_t RowAlignment(const Spec& spec, const DeviceTraits& traits) {
  uint64_t alignment = spec.alignment == 0 ? traits.row_alignment : spec.alignment;
  for (int plane = 0; plane < spec.format().planes(); ++plane) {
    const DataType pixel = spec.format().plane_type(plane);
    const int64_t bytes = spec.alignment == 0 ? pixel.size_bytes() : pixel.component_bytes();
    alignment = std::lcm(alignment, static_cast<uint64_t>(bytes));
  }
  return std::bit_ceil(alignment);
}

}  // namespace

absl::StatusOr<Footprint> ImageFootprint(const Spec& spec, const DeviceTraits& traits) {
  if (absl::Status bad = CheckImage(spec); !bad.ok()) return bad;
  const Format format = spec.format();
  const uint64_t row = RowAlignment(spec, traits);
  const uint64_t base = std::bit_ceil(std::lcm(uint64_t{traits.base_alignment}, row));

  Footprint footprint;
  footprint.alignment = base;
  int64_t total = 0;
  for (int plane = 0; plane < format.planes(); ++plane) {
    const Size size = format.plane_size(plane, SizeOf(spec));
    const auto stride = RoundUp(size.width * format.plane_type(plane).size_bytes(), row);
    auto bytes = stride ? Product(*stride, size.height) : stride;
    if (bytes) bytes = RoundUp(*bytes, base);
    if (!bytes || __builtin_add_overflow(total, *bytes, &total)) return TooLarge(spec);
    footprint.strides[plane] = *stride;
  }
  footprint.size_bytes = static_cast<uint64_t>(total);
  return footprint;
}

int64_t PlaneOffset(const Spec& spec, const int64_t* row_strides, int plane) {
  int64_t offset = 0;
  for (int before = 0; before < plane; ++before) {
    offset += row_strides[before] * spec.format().plane_size(before, SizeOf(spec)).height;
  }
  return offset;
}

}  // namespace nvcv_cached::client
