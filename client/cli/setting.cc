#include "client/cli/setting.h"

#include <set>

#include "client/cli/table.h"
#include "proto/units.h"

namespace nvcv_cached::cli {

using Json = nlohmann::ordered_json;

const v1::Setting& SettingNamed(const v1::Stats& stats, std::string_view key) {
  for (const v1::Setting& setting : stats.settings()) {
    if (setting.key() == key) return setting;
  }
  return v1::Setting::default_instance();
}

Json SettingValue(const v1::Setting& setting) {
  const std::string& text = setting.value();
  const bool is_number = setting.key() != "mode" && !text.empty() && text.size() < 20 &&
                         text.find_first_not_of("0123456789") == std::string::npos;
  if (is_number) return std::stoull(text);
  return text;
}

std::string ShownSetting(const v1::Setting& setting) {
  static const std::set<std::string> kSizes{"capacity", "limit", "quota", "slab-size"};
  const Json value = SettingValue(setting);
  if (kSizes.count(setting.key()) > 0 && value.is_number())
    return FormatSize(value.get<uint64_t>());
  return Escaped(setting.value());
}

}  // namespace nvcv_cached::cli
