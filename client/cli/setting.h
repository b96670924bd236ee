// A daemon's settings, as its statistics carry them. Pure functions. Thread-safe.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "nvcv_cached/v1/admin.pb.h"

namespace nvcv_cached::cli {

// The one named `key`; a daemon of another version may not have it: its value is "".
const v1::Setting& SettingNamed(const v1::Stats& stats, std::string_view key);

// Sizes and counts as numbers, all else as text; and the same for people.
nlohmann::ordered_json SettingValue(const v1::Setting& setting);
std::string ShownSetting(const v1::Setting& setting);

}  // namespace nvcv_cached::cli
