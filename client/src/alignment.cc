#include "client/src/alignment.h"

#include <bit>
#include <limits>

#include "absl/strings/str_cat.h"

namespace nvcv_cached::client {

std::optional<int64_t> Product(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

std::optional<int64_t> RoundUp(int64_t value, uint64_t to) {
  const auto mask = static_cast<int64_t>(to - 1);
  if (value > std::numeric_limits<int64_t>::max() - mask) return std::nullopt;
  return (value + mask) & ~mask;
}

bool IsAlignment(int64_t value) {
  return value > 0 && value <= static_cast<int64_t>(kMaxAlignment) &&
         std::has_single_bit(static_cast<uint64_t>(value));
}

absl::Status BadAlignment(absl::string_view name, int64_t value) {
  if (value > static_cast<int64_t>(kMaxAlignment)) {
    return absl::InvalidArgumentError(absl::StrCat(name, " ", value, " is above ", kMaxAlignment,
                                                   "; do: use ", kMaxAlignment, " at most"));
  }
  if (value < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " ", value, " is negative; do: use 0 for the device's own, or 32"));
  }
  const auto above = std::bit_ceil(static_cast<uint64_t>(value));
  return absl::InvalidArgumentError(
      absl::StrCat(name, " ", value, " is not a power of two; do: use ", above / 2, " or ", above));
}

absl::Status TooLarge(const Spec& spec) {
  return absl::InvalidArgumentError(
      absl::StrCat(SpecText(spec), " needs more than 9223372036854775807 bytes (63 bits)",
                   "; do: make it smaller"));
}

}  // namespace nvcv_cached::client
