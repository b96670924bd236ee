// The daemon's settings with their types, made of the texts of sources.h.
//
// First ChooseDevice, for nothing else is known before the device is; then ParseSettings, which
// knows what N% is of. Each error names the flag, variable or line, what was found there, and what
// to write. Pure functions but for the look-up of the group and the socket directories.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config/sources.h"
#include "server/core/types.h"
#include "server/device/device.h"

namespace nvcv_cached::server {

enum class Scope : uint8_t { kUser, kSystem };  // whose daemon: /run/nvcv-cached, or the user's own

struct SettingText {
  std::string key;
  std::string value;  // sizes in bytes, times as 500ms 60s, "none", "never"
  std::string shown;  // for people: sizes as 8.00GiB
  Origin origin = Origin::kDefault;
  std::string where;  // empty for defaults
};

struct DaemonSettings {
  std::string device, socket;
  std::optional<gid_t> group;
  mode_t mode = 0600;
  uint64_t capacity_bytes = 0, limit_bytes = 0, slab_bytes = 0;
  std::optional<uint64_t> quota_bytes;
  Policy policy = Policy::kLru;
  std::string domain;
  std::chrono::milliseconds trim_after{0}, keep_time{0};
  std::optional<std::chrono::milliseconds> idle_exit, drain_timeout;  // nullopt: never
  uint32_t max_sessions = 0;
  std::string log_level, log_format;

  std::vector<SettingText> texts;     // one for each key, in the table's order
  std::vector<std::string> warnings;  // allowed, but perhaps not meant
};

// The time that an "unlimited" trim-after or keep-time is held to be.
inline constexpr std::chrono::milliseconds kForever = std::chrono::hours(24 * 365 * 100);

Scope ScopeOf(bool asked_for_system);  // or RUNTIME_DIRECTORY says so
std::string DefaultConfigPath(Scope scope);

// host, cuda:N, GPU-uuid, MIG-uuid, all; "" when nobody says: the first GPU, without a driver the
// host. INVALID_ARGUMENT.
absl::StatusOr<std::string> ChooseDevice(const Source& source);

absl::StatusOr<DaemonSettings> ParseSettings(const Source& source, const DeviceInfo& device,
                                             Scope scope);

const char* PolicyName(Policy policy);
absl::StatusOr<Policy> ParsePolicy(std::string_view text);
SettingText SizeText(std::string key, std::optional<uint64_t> bytes, Origin origin);

}  // namespace nvcv_cached::server
