#include "server/config/daemon_settings.h"

#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <initializer_list>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proto/socket_paths.h"
#include "proto/units.h"
#include "server/config/keys.h"

namespace nvcv_cached::server {
namespace {

constexpr uint64_t kMinSlabBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxBytes = uint64_t{1} << 62;

using Milliseconds = std::chrono::milliseconds;
using Choices = std::initializer_list<std::string_view>;

std::string ExactDuration(std::optional<Milliseconds> duration) {
  if (!duration) return "never";
  const int64_t ms = duration->count();
  if (ms == 0 || ms % 1000 != 0) return absl::StrCat(ms, "ms");
  if (ms % 3'600'000 == 0) return absl::StrCat(ms / 3'600'000, "h");
  if (ms % 60'000 == 0) return absl::StrCat(ms / 60'000, "m");
  return absl::StrCat(ms / 1000, "s");
}

// Reads one key after the other; the first error stays.
class Reader {
 public:
  Reader(const Source& source, std::vector<SettingText>& texts) : source_(source), texts_(texts) {}

  const absl::Status& status() const { return status_; }

  bool IsSet(std::string_view key) const { return source_.find(key) != source_.end(); }

  std::string Text(std::string_view key, const std::string& fallback) {
    return Note(key, Find(key, fallback).text);
  }

  std::string OneOf(std::string_view key, const std::string& fallback, Choices choices) {
    const Sourced found = Find(key, fallback);
    if (std::find(choices.begin(), choices.end(), found.text) == choices.end()) {
      Fail(key, found,
           absl::StrCat("\"", found.text, "\" is not known; do: write ",
                        absl::StrJoin(choices, " or ", [](std::string* out, std::string_view one) {
                          out->append(one);
                        })));
    }
    return Note(key, found.text);
  }

  std::optional<uint64_t> Size(std::string_view key, const std::string& fallback, uint64_t whole,
                               bool none_allowed = false) {
    const Sourced found = Find(key, fallback);
    absl::StatusOr<std::optional<uint64_t>> size = ParseSize(found.text, whole);
    if (!size.ok()) {
      Fail(key, found, size.status().message());
      return 0;
    }
    if (!*size && !none_allowed) {
      Fail(key, found, "\"none\": this bound is needed; do: write a size or 100%");
    } else if (size->value_or(0) > kMaxBytes) {
      Fail(key, found, absl::StrCat("\"", found.text, "\": more than 4 EiB"));
    }
    texts_.push_back(SizeText(std::string(key), *size, found.origin));
    if (found.origin != Origin::kDefault) texts_.back().where = found.where;
    return *size;
  }

  std::optional<Milliseconds> Duration(std::string_view key, const std::string& fallback) {
    const Sourced found = Find(key, fallback);
    absl::StatusOr<std::optional<Milliseconds>> duration = ParseDuration(found.text);
    if (!duration.ok()) {
      Fail(key, found, duration.status().message());
      return Milliseconds(0);
    }
    Note(key, ExactDuration(*duration));
    return *duration;
  }

  uint32_t Count(std::string_view key, const std::string& fallback, uint32_t most) {
    const Sourced found = Find(key, fallback);
    uint32_t count = 0;
    if (!absl::SimpleAtoi(found.text, &count) || count == 0 || count > most) {
      Fail(key, found, absl::StrCat("\"", found.text, "\" is not a number from 1 to ", most));
    }
    Note(key, absl::StrCat(count));
    return count;
  }

  mode_t Mode(std::string_view key, const std::string& fallback) {
    const Sourced found = Find(key, fallback);
    mode_t mode = 0;
    const bool octal = !found.text.empty() && found.text.size() <= 4 &&
                       found.text.find_first_not_of("01234567") == std::string::npos;
    if (octal) mode = static_cast<mode_t>(std::strtoul(found.text.c_str(), nullptr, 8));
    if (!octal || mode > 0777 || (mode & 0600) != 0600) {
      Fail(key, found,
           absl::StrCat("\"", found.text,
                        "\" is not a socket's mode; do: write 0600, 0660 or 0666"));
    }
    Note(key, absl::StrFormat("%04o", mode));
    return mode;
  }

  std::optional<gid_t> Group(std::string_view key, const std::string& fallback) {
    const Sourced found = Find(key, fallback);
    std::optional<gid_t> group;
    if (found.text != "none") {
      errno = 0;
      if (const ::group* entry = ::getgrnam(found.text.c_str()); entry != nullptr) {
        group = entry->gr_gid;
      } else if (gid_t number = 0; absl::SimpleAtoi(found.text, &number)) {
        group = number;
      } else if (found.origin != Origin::kDefault) {
        Fail(key, found,
             absl::StrCat("no group \"", found.text, "\" here; do: groupadd it, or write none"));
      }
    }
    Note(key, group ? found.text : "none");
    return group;
  }

  void Fail(std::string_view key, const Sourced& found, std::string_view what) {
    if (!status_.ok()) return;
    // A flag and a variable carry the key in their name, a line of a file does not.
    const bool named = found.origin == Origin::kFlag || found.origin == Origin::kEnvironment;
    status_ = absl::InvalidArgumentError(absl::StrCat(
        found.where, ": ", named ? "" : absl::StrCat(std::string(key), ": "), std::string(what)));
  }
  void Fail(std::string_view key, const Sourced& found, absl::string_view what) {
    Fail(key, found, std::string_view(what.data(), what.size()));
  }
  void Fail(std::string_view key, const Sourced& found, const std::string& what) {
    Fail(key, found, std::string_view(what));
  }
  void Fail(std::string_view key, const Sourced& found, const char* what) {
    Fail(key, found, std::string_view(what));
  }

  Sourced Find(std::string_view key, const std::string& fallback) const {
    const auto found = source_.find(key);
    if (found != source_.end()) return found->second;
    return {.text = fallback, .origin = Origin::kDefault, .where = "default"};
  }

 private:
  std::string Note(std::string_view key, std::string value) {
    const Sourced found = Find(key, "");
    texts_.push_back({.key = std::string(key),
                      .value = value,
                      .shown = value,
                      .origin = found.origin,
                      .where = found.origin == Origin::kDefault ? "" : found.where});
    return value;
  }

  const Source& source_;
  std::vector<SettingText>& texts_;
  absl::Status status_;
};

void Warn(DaemonSettings& settings, const DeviceInfo& device) {
  auto above = [&](const char* key, uint64_t bytes) {
    if (bytes <= device.total_bytes) return;
    settings.warnings.push_back(absl::StrCat(key, " ", FormatSize(bytes), " is above the device's ",
                                             FormatSize(device.total_bytes)));
  };
  above("capacity", settings.capacity_bytes);
  above("limit", settings.limit_bytes);
}

}  // namespace

Scope ScopeOf(bool asked_for_system) {
  if (asked_for_system) return Scope::kSystem;
  const char* directories = std::getenv("RUNTIME_DIRECTORY");
  if (directories == nullptr) return Scope::kUser;
  // A user's service manager sets it too, to a directory of the user's.
  for (absl::string_view directory : absl::StrSplit(directories, ':')) {
    if (directory == SystemSocketDirectory()) return Scope::kSystem;
  }
  return Scope::kUser;
}

std::string DefaultConfigPath(Scope scope) {
  if (scope == Scope::kSystem) return "/etc/nvcv-cached/nvcv-cached.toml";
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config != nullptr && *config == '/') {
    return absl::StrCat(config, "/nvcv-cached/nvcv-cached.toml");
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') return "";
  return absl::StrCat(home, "/.config/nvcv-cached/nvcv-cached.toml");
}

absl::StatusOr<std::string> ChooseDevice(const Source& source) {
  std::vector<SettingText> texts;
  Reader reader(source, texts);
  const Sourced found = reader.Find("device", "");
  absl::string_view rest = found.text;
  uint32_t number = 0;
  if (found.text == "all" && reader.IsSet("socket")) {
    reader.Fail("socket", reader.Find("socket", ""),
                "one path for the daemons of all devices; do: leave it out, or name one device");
    return reader.status();
  }
  if (found.origin == Origin::kDefault || found.text == "host" || found.text == "all" ||
      absl::StartsWith(rest, "GPU-") || absl::StartsWith(rest, "MIG-") ||
      (absl::ConsumePrefix(&rest, "cuda:") && absl::SimpleAtoi(rest, &number))) {
    return found.text;
  }
  reader.Fail("device", found,
              absl::StrCat("\"", found.text,
                           "\" is no device; do: write host, cuda:N, GPU-uuid, MIG-uuid or all"));
  return reader.status();
}

absl::StatusOr<DaemonSettings> ParseSettings(const Source& source, const DeviceInfo& device,
                                             Scope scope) {
  const bool system = scope == Scope::kSystem;
  const uint64_t total = device.total_bytes;
  DaemonSettings settings;
  Reader reader(source, settings.texts);
  settings.device = reader.Text("device", device.id);
  settings.socket = reader.Text(
      "socket", SocketPath(system ? SystemSocketDirectory() : UserSocketDirectory(), device.id));
  settings.group = reader.Group("group", system ? "nvcv" : "none");
  settings.mode = reader.Mode("mode", system ? "0660" : "0600");
  settings.capacity_bytes =
      reader.Size("capacity", device.kind == "host" ? "50%" : "90%", total).value_or(0);
  settings.limit_bytes = reader.Size("limit", "50%", total).value_or(0);
  settings.policy =
      reader.OneOf("policy", "lru", {"lru", "clear"}) == "clear" ? Policy::kClear : Policy::kLru;
  settings.quota_bytes = reader.Size("quota", "none", total, /*none_allowed=*/true);
  settings.domain = reader.OneOf("domain", "uid", {"uid", "cgroup", "shared"});
  settings.slab_bytes = reader.Size("slab-size", "64MiB", total).value_or(0);
  settings.trim_after = reader.Duration("trim-after", "60s").value_or(kForever);
  settings.keep_time = reader.Duration("keep-time", "100ms").value_or(kForever);
  settings.idle_exit = reader.Duration("idle-exit", "never");
  settings.drain_timeout = reader.Duration("drain-timeout", "30s");
  settings.max_sessions = reader.Count("max-sessions", "2000", 100'000);
  settings.log_level = reader.OneOf("log-level", "info", {"debug", "info", "warn", "error"});
  settings.log_format = reader.OneOf("log-format", "text", {"text", "json"});

  if (settings.slab_bytes < kMinSlabBytes) {
    const Sourced found = reader.Find("slab-size", "");
    reader.Fail(
        "slab-size", found,
        absl::StrCat("\"", found.text, "\": a slab has at least ", FormatSize(kMinSlabBytes)));
  }
  if (absl::Status path = CheckSocketPath(settings.socket); !path.ok()) {
    reader.Fail("socket", reader.Find("socket", ""), path.message());
  }
  if (settings.socket.front() != '/') {
    reader.Fail("socket", reader.Find("socket", ""),
                absl::StrCat("\"", settings.socket, "\" is not an absolute path"));
  }
  if (!reader.status().ok()) return reader.status();
  const uint64_t granularity = std::max<uint64_t>(device.slab_granularity, 1);
  settings.slab_bytes = (settings.slab_bytes + granularity - 1) / granularity * granularity;
  if (system && !settings.group && !reader.IsSet("group")) {
    settings.warnings.push_back(
        "there is no group nvcv here: only root and the daemon's own group may connect; "
        "do: systemd-sysusers, or name a group or none");
  }
  Warn(settings, device);
  return settings;
}

const char* PolicyName(Policy policy) { return policy == Policy::kClear ? "clear" : "lru"; }

absl::StatusOr<Policy> ParsePolicy(std::string_view text) {
  if (text == "lru") return Policy::kLru;
  if (text == "clear") return Policy::kClear;
  return absl::InvalidArgumentError(
      absl::StrCat("policy \"", std::string(text.substr(0, 60)), "\"; do: write lru or clear"));
}

SettingText SizeText(std::string key, std::optional<uint64_t> bytes, Origin origin) {
  return {.key = std::move(key),
          .value = bytes ? absl::StrCat(*bytes) : "none",
          .shown = bytes ? FormatSize(*bytes) : "none",
          .origin = origin,
          .where = ""};
}

}  // namespace nvcv_cached::server
