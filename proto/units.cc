#include "proto/units.h"

#include <array>
#include <cmath>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace nvcv_cached {

namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array<Unit, 16> kSizeUnits{{{"", 1},
                                           {"B", 1},
                                           {"KiB", 0x1p10},
                                           {"Ki", 0x1p10},
                                           {"MiB", 0x1p20},
                                           {"Mi", 0x1p20},
                                           {"GiB", 0x1p30},
                                           {"Gi", 0x1p30},
                                           {"TiB", 0x1p40},
                                           {"Ti", 0x1p40},
                                           {"kB", 1e3},
                                           {"KB", 1e3},
                                           {"MB", 1e6},
                                           {"GB", 1e9},
                                           {"TB", 1e12},
                                           {"bytes", 1}}};
constexpr std::array<Unit, 4> kDurationUnits{{{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}}};

struct Quantity {
  double number;
  std::string_view unit;
};

// Splits "1.5GiB" into its number and its unit; the number is plain decimal, never negative.
std::optional<Quantity> Split(std::string_view text) {
  size_t digits = text.find_first_not_of("0123456789.");
  if (digits == std::string_view::npos) digits = text.size();
  if (digits == 0) return std::nullopt;
  double number;
  if (!absl::SimpleAtod(absl::string_view(text.data(), digits), &number)) return std::nullopt;
  return Quantity{number, text.substr(digits)};
}

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

std::string Quoted(std::string_view text) {
  return absl::StrCat("\"", Absl(text.substr(0, 60)), "\"");
}

}  // namespace

absl::StatusOr<std::optional<uint64_t>> ParseSize(std::string_view text,
                                                  std::optional<uint64_t> whole_bytes) {
  if (text == "none") return std::nullopt;
  std::optional<Quantity> quantity = Split(text);
  if (!quantity) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quoted(text), " is not a size; do: write 8GiB, 500MB, 4096 (bytes), 50% or none"));
  }
  auto [number, unit] = *quantity;
  double bytes = -1;
  if (unit == "%") {
    if (!whole_bytes)
      return absl::InvalidArgumentError(absl::StrCat(Quoted(text), ": no percentage here"));
    if (number > 100) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted(text), ": more than the whole; do: write 100% or less"));
    }
    bytes = number / 100 * static_cast<double>(*whole_bytes);
  }
  for (const Unit& known : kSizeUnits) {
    if (unit == known.name) bytes = number * known.factor;
  }
  // Whole bytes keep every digit: a double holds only 53 bits.
  if (uint64_t exact; unit.empty() && absl::SimpleAtoi(Absl(text), &exact)) return exact;
  if (bytes < 0 && unit.size() == 1 &&
      std::string_view("kKMGT").find(unit) != std::string_view::npos) {
    std::string head(text.substr(0, text.size() - 1));
    char letter = absl::ascii_toupper(unit[0]);
    return absl::InvalidArgumentError(absl::StrFormat("%s is ambiguous; do: write %s%ciB or %s%cB",
                                                      Quoted(text), head, letter, head,
                                                      letter == 'K' ? 'k' : letter));
  }
  if (bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), ": unknown unit ", Quoted(unit),
                     "; do: use KiB MiB GiB TiB, kB MB GB TB, bytes or %"));
  }
  if (bytes >= 0x1p63)
    return absl::InvalidArgumentError(absl::StrCat(Quoted(text), ": more than 2^63 bytes"));
  return static_cast<uint64_t>(bytes);
}

absl::StatusOr<std::optional<std::chrono::milliseconds>> ParseDuration(std::string_view text) {
  if (text == "never") return std::nullopt;
  if (std::optional<Quantity> quantity = Split(text)) {
    for (const Unit& known : kDurationUnits) {
      double count = quantity->number * known.factor;
      if (quantity->unit == known.name && count < 0x1p53) {
        return std::chrono::milliseconds(static_cast<int64_t>(count));
      }
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(text), " is not a duration; do: write 500ms, 10s, 5m, 2h or never"));
}

std::string FormatSize(uint64_t bytes) {
  constexpr std::array<const char*, 6> kNames{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return absl::StrCat(bytes, "B");
  int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return absl::StrFormat("%.*f%s", decimals, value, kNames[unit]);
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  int64_t ms = duration.count();
  if (ms < 1000) return absl::StrCat(ms, "ms");
  int64_t seconds = ms / 1000;
  if (seconds < 60) return absl::StrCat(seconds, "s");
  if (seconds < 3600) return absl::StrCat(seconds / 60, "m");
  if (seconds < 86400) return absl::StrFormat("%dh%02d", seconds / 3600, seconds / 60 % 60);
  return absl::StrFormat("%dd%02dh", seconds / 86400, seconds / 3600 % 24);
}

}  // namespace nvcv_cached
