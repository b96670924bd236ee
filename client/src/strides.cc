#include "client/src/strides.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/src/alignment.h"
#include "client/src/image_layout.h"

namespace nvcv_cached::client {
namespace {

absl::StatusOr<Footprint> BufferFootprint(const Spec& spec, const DeviceTraits& traits) {
  const int64_t asked = spec.alignment;
  if (asked != 0 && !IsAlignment(asked)) return BadAlignment("alignment", asked);
  if (spec.extents[0] < 0) return TooLarge(spec);
  Footprint footprint;
  footprint.strides[0] = 1;
  footprint.alignment = asked != 0 ? static_cast<uint64_t>(asked) : traits.base_alignment;
  const auto bytes = RoundUp(spec.extents[0], std::bit_ceil(uint64_t{traits.base_alignment}));
  if (!bytes) return TooLarge(spec);
  footprint.size_bytes = static_cast<uint64_t>(*bytes);
  return footprint;
}

absl::Status CheckTensor(const Spec& spec) {
  const absl::string_view layout(spec.layout);
  if (!spec.data_type().is_supported()) {
    return absl::InvalidArgumentError(
        absl::StrCat("type ", spec.data_type().name(), " is not one of the 50 supported",
                     "; do: use U8, F32, 3F32 or another of DataType"));
  }
  if (!layout.empty() && layout.size() != spec.rank) {
    return absl::InvalidArgumentError(absl::StrCat(
        "layout ", layout, " has rank ", layout.size(), ", the shape of ", SpecText(spec),
        " has rank ", int{spec.rank}, "; do: give each dimension a label"));
  }
  for (int i = 0; i < spec.rank; ++i) {
    if (spec.extents[i] < 0) {
      return absl::InvalidArgumentError(absl::StrCat("extent ", i, " of ", SpecText(spec), " is ",
                                                     spec.extents[i], "; do: use 0 or more"));
    }
  }
  const auto row_align = static_cast<int32_t>(spec.alignment);
  if (row_align != 0 && !IsAlignment(row_align)) return BadAlignment("rowalign", row_align);
  return absl::OkStatus();
}

absl::StatusOr<Footprint> TensorFootprint(const Spec& spec, const DeviceTraits& traits) {
  if (absl::Status bad = CheckTensor(spec); !bad.ok()) return bad;
  const DataType dtype = spec.data_type();
  const auto element = static_cast<uint64_t>(dtype.size_bytes());
  const auto component = static_cast<uint64_t>(dtype.alignment());
  const uint64_t row = std::bit_ceil(
      spec.alignment == 0 ? std::lcm(uint64_t{traits.row_alignment}, std::bit_ceil(element))
                          : std::lcm(uint64_t{spec.alignment}, component));
  const uint64_t base = std::bit_ceil(std::lcm(uint64_t{traits.base_alignment}, row));

  const int rank = spec.rank;
  const absl::string_view layout(spec.layout);
  const bool packed_pixels = layout.size() >= 2 && layout.substr(layout.size() - 2) == "WC";
  const int first_packed = packed_pixels ? std::max(0, rank - 2) : rank - 1;

  Footprint footprint;
  footprint.alignment = base;
  footprint.strides[rank - 1] = static_cast<int64_t>(element);
  for (int d = rank - 2; d >= 0; --d) {
    auto stride = Product(footprint.strides[d + 1], spec.extents[d + 1]);
    if (stride && d == first_packed - 1) stride = RoundUp(*stride, row);
    if (!stride) return TooLarge(spec);
    footprint.strides[d] = *stride;
  }
  auto bytes = Product(footprint.strides[0], spec.extents[0]);
  if (bytes) bytes = RoundUp(*bytes, base);
  if (!bytes) return TooLarge(spec);
  footprint.size_bytes = static_cast<uint64_t>(*bytes);
  if (std::find(spec.extents, spec.extents + rank, 0) != spec.extents + rank) {
    footprint.size_bytes = 0;
  }
  return footprint;
}

// Its table has an entry for each of its members.
absl::StatusOr<Footprint> BatchFootprint(const Spec& spec, int64_t entry_bytes,
                                         const DeviceTraits& traits) {
  const int64_t capacity = spec.extents[0];
  if (capacity < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a batch of capacity ", capacity, "; do: use 0 or more"));
  }
  const auto bytes = Product(capacity, entry_bytes);
  if (!bytes) return TooLarge(spec);
  Footprint footprint;
  footprint.strides[0] = entry_bytes;
  footprint.size_bytes = static_cast<uint64_t>(*bytes);
  footprint.alignment = std::bit_ceil(uint64_t{traits.base_alignment});
  return footprint;
}

}  // namespace

absl::StatusOr<Footprint> FootprintOf(const Spec& spec, const DeviceTraits& traits) {
  switch (spec.kind) {
    case Kind::kTensor:
      return TensorFootprint(spec, traits);
    case Kind::kImage:
      return ImageFootprint(spec, traits);
    case Kind::kImageBatch:
      return BatchFootprint(spec, kImageBatchEntryBytes, traits);
    case Kind::kTensorBatch:
      return BatchFootprint(spec, kTensorBatchEntryBytes, traits);
    case Kind::kBuffer:
      break;
  }
  return BufferFootprint(spec, traits);
}

}  // namespace nvcv_cached::client
