#include "client/src/options.h"

#include <errno.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/src/errors.h"
#include "proto/socket_paths.h"
#include "proto/units.h"

namespace nvcv_cached::client {

namespace {

constexpr std::chrono::hours kLongestTimeout{24};

std::optional<std::string> Environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

absl::StatusOr<std::chrono::milliseconds> ReadTimeout(const std::string& text) {
  auto parsed = ParseDuration(text);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("NVCV_CACHED_TIMEOUT=", text, ": ", parsed.status().message()));
  }
  if (!parsed->has_value() || **parsed <= std::chrono::milliseconds(0)) {
    return WithHint(absl::InvalidArgumentError(
                        absl::StrCat("NVCV_CACHED_TIMEOUT=", text, " is no bound for a call")),
                    "use 500ms, 5s or 2m");
  }
  return **parsed;
}

// The daemon that may be started there has another working directory.
std::string Absolute(const std::string& path) {
  std::error_code ignored;
  std::filesystem::path absolute = std::filesystem::absolute(path, ignored);
  return path.empty() || absolute.empty() ? path : absolute.string();
}

absl::Status CheckDevice(const std::string& device) {
  if (device == "host") return absl::OkStatus();
  return WithHint(absl::UnimplementedError(absl::StrCat(
                      "device \"", device, "\" was asked for; this build serves \"host\" only")),
                  "set NVCV_CACHED_DEVICE=host, or install a build with CUDA");
}

}  // namespace

absl::StatusOr<Settings> ReadSettings(const Options& options) {
  Settings settings;
  std::optional<std::string> device = options.device;
  if (!device) device = Environment("NVCV_CACHED_DEVICE");
  settings.device_is_default = !device.has_value();
  settings.device = device.value_or("host");
  if (absl::Status status = CheckDevice(settings.device); !status.ok()) return status;

  settings.address = options.address ? options.address : Environment("NVCV_CACHED_ADDRESS");
  if (settings.address) {
    settings.address = Absolute(*settings.address);
    if (absl::Status status = CheckSocketPath(*settings.address); !status.ok()) return status;
  }

  settings.name = options.name.value_or(
      Environment("NVCV_CACHED_NAME").value_or(program_invocation_short_name));

  if (options.timeout) {
    settings.timeout = *options.timeout;
    if (settings.timeout <= std::chrono::milliseconds(0)) {
      return absl::InvalidArgumentError(
          absl::StrCat("a timeout of ", settings.timeout.count(), " ms; wanted more than 0"));
    }
  } else if (auto text = Environment("NVCV_CACHED_TIMEOUT")) {
    auto timeout = ReadTimeout(*text);
    if (!timeout.ok()) return timeout.status();
    settings.timeout = *timeout;
  }
  if (settings.timeout > kLongestTimeout) settings.timeout = kLongestTimeout;

  std::string autostart = Environment("NVCV_CACHED_AUTOSTART").value_or("1");
  if (!options.autostart && autostart != "0" && autostart != "1") {
    return absl::InvalidArgumentError(
        absl::StrCat("NVCV_CACHED_AUTOSTART=", autostart, "; wanted 0 or 1"));
  }
  settings.autostart = options.autostart.value_or(autostart == "1");
  settings.daemon = Environment("NVCV_CACHED_DAEMON");
  return settings;
}

absl::Status CheckSame(const Settings& settings, const Options& options) {
  auto differs = [](std::string_view what, std::string_view now, std::string_view asked) {
    return absl::InvalidArgumentError(absl::StrCat(
        "connect(", absl::string_view(what.data(), what.size()), "=\"",
        absl::string_view(asked.data(), asked.size()), "\"), but this process is connected with \"",
        absl::string_view(now.data(), now.size()), "\"; do: connect before the first object"));
  };
  if (options.device && *options.device != settings.device) {
    return differs("device", settings.device, *options.device);
  }
  if (options.address && Absolute(*options.address) != settings.address) {
    return differs("address", settings.address.value_or("the default socket"), *options.address);
  }
  if (options.name && *options.name != settings.name) {
    return differs("name", settings.name, *options.name);
  }
  if (options.timeout && *options.timeout != settings.timeout) {
    return differs("timeout", absl::StrCat(settings.timeout.count(), "ms"),
                   absl::StrCat(options.timeout->count(), "ms"));
  }
  if (options.autostart && *options.autostart != settings.autostart) {
    return differs("autostart", settings.autostart ? "1" : "0", *options.autostart ? "1" : "0");
  }
  return absl::OkStatus();
}

}  // namespace nvcv_cached::client
