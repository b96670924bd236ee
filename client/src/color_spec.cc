#include "nvcv_cached/color_spec.h"

namespace nvcv_cached {
namespace {

struct Named {
  std::string_view name;
  ColorSpec spec;
};
constexpr Named kNames[] = {
    {"BT601", ColorSpec::kBT601},   {"BT601_ER", ColorSpec::kBT601_ER},
    {"BT709", ColorSpec::kBT709},   {"BT709_ER", ColorSpec::kBT709_ER},
    {"BT2020", ColorSpec::kBT2020}, {"BT2020_ER", ColorSpec::kBT2020_ER},
};

}  // namespace

std::string_view color_spec_name(ColorSpec spec) {
  for (const Named& named : kNames) {
    if (named.spec == spec) return named.name;
  }
  return "???";
}

std::optional<ColorSpec> color_spec_from_name(std::string_view name) {
  for (const Named& named : kNames) {
    if (named.name == name) return named.spec;
  }
  return std::nullopt;
}

}  // namespace nvcv_cached
