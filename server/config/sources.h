// Where a setting's text comes from, and which source wins: flag > environment > the file's device
// section > the file > default. Nothing is interpreted here (daemon_settings.h does). Pure data and
// functions of it. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace nvcv_cached::server {

enum class Origin : uint8_t { kDefault, kFile, kEnvironment, kFlag, kRuntime };
const char* OriginName(Origin origin);  // default file env flag runtime

struct Sourced {
  std::string text;
  Origin origin = Origin::kDefault;
  std::string where;  // "--limit", "NVCV_CACHED_LIMIT", "/etc/...toml:3": for errors and people
};
using Source = std::map<std::string, Sourced, std::less<>>;  // by key

struct ConfigFile {
  Source top;
  std::map<std::string, Source, std::less<>> devices;  // [device."GPU-..."], by id
};

// INVALID_ARGUMENT names file and line: not TOML, a key or a type of value that is unknown.
// NOT_FOUND: no such file. PERMISSION_DENIED: not ours to read.
absl::StatusOr<ConfigFile> ReadConfigFile(const std::string& path);

struct Environment {
  Source keys;
  std::vector<std::string> unknown;  // NVCV_CACHED_* that neither daemon nor library knows
};
// An empty value counts as not set.
Environment ReadEnvironment(char** variables);

// The later win.
Source Merge(const std::vector<const Source*>& sources);

}  // namespace nvcv_cached::server
