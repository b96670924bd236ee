#include "server/config/sources.h"

#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/config/keys.h"

namespace nvcv_cached::server {
namespace {

// Of the library and its users; the daemon may well be started with them set.
constexpr std::array<std::string_view, 7> kClientVariables{
    "NVCV_CACHED_ADDRESS",       "NVCV_CACHED_AUTOSTART", "NVCV_CACHED_DAEMON",
    "NVCV_CACHED_TIMEOUT",       "NVCV_CACHED_NAME",      "NVCV_CACHED_LOG",
    "NVCV_CACHED_STRICT_STREAMS"};

bool IsClients(std::string_view name) {
  for (const std::string_view known : kClientVariables) {
    if (name == known) return true;
  }
  return absl::StartsWith(absl::string_view(name.data(), name.size()), "NVCV_CACHED_TEST_");
}

}  // namespace

const char* OriginName(Origin origin) {
  switch (origin) {
    case Origin::kDefault:
      return "default";
    case Origin::kFile:
      return "file";
    case Origin::kEnvironment:
      return "env";
    case Origin::kFlag:
      return "flag";
    case Origin::kRuntime:
      return "runtime";
  }
  return "?";
}

Environment ReadEnvironment(char** variables) {
  std::map<std::string, std::string, std::less<>> key_of;
  for (const Key& key : Keys()) key_of[VariableOf(key.name)] = key.name;
  Environment result;
  for (; variables != nullptr && *variables != nullptr; ++variables) {
    const std::string_view entry = *variables;
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos || entry.rfind("NVCV_CACHED_", 0) != 0) continue;
    const std::string name(entry.substr(0, equals));
    const std::string value(entry.substr(equals + 1));
    if (auto known = key_of.find(name); known != key_of.end()) {
      if (!value.empty()) {
        result.keys[known->second] = {.text = value, .origin = Origin::kEnvironment, .where = name};
      }
    } else if (!IsClients(name)) {
      result.unknown.push_back(name);
    }
  }
  return result;
}

Source Merge(const std::vector<const Source*>& sources) {
  Source merged;
  for (const Source* source : sources) {
    for (const auto& [key, value] : *source) merged[key] = value;
  }
  return merged;
}

}  // namespace nvcv_cached::server
