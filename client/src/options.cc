#include "client/src/options.h"

#include <errno.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/src/cuda/gpu_choice.h"
#include "client/src/errors.h"
#include "client/src/log.h"
#include "client/src/utf8.h"
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

void BecomeHost(Settings& settings) {
  settings.device = "host";
  settings.device_name = "shared memory";
}

void BecomeGpu(Settings& settings, const SeenGpu& gpu) {
  settings.device = gpu.uuid;
  settings.device_name = gpu.name;
  settings.device_bytes = gpu.total_bytes;
}

// What was named; else what the daemon at a named address has; else the default.
absl::Status ChooseDevice(Settings& settings) {
  if (settings.device_asked == "host") {
    BecomeHost(settings);
    return absl::OkStatus();
  }
  if (!settings.device_asked.empty()) {
    absl::StatusOr<SeenGpu> gpu = FindGpu(settings.device_asked);
    if (gpu.ok()) BecomeGpu(settings, *gpu);
    return gpu.status();
  }
  if (settings.address) {
    settings.device.clear();
    return absl::OkStatus();
  }
  return ChooseDefaultDevice(settings);
}

}  // namespace

absl::Status ChooseDefaultDevice(Settings& settings) {
  absl::StatusOr<SeenGpu> gpu = CurrentGpu();
  if (gpu.ok()) {
    BecomeGpu(settings, *gpu);
    return absl::OkStatus();
  }
  if (!absl::IsNotFound(gpu.status())) {
    return WithHint(gpu.status(),
                    "run nvidia-smi to see what is wrong, or set NVCV_CACHED_DEVICE=host");
  }
  BecomeHost(settings);
  return absl::OkStatus();
}

absl::StatusOr<Settings> ReadSettings(const Options& options) {
  Settings settings;
  settings.address = options.address ? options.address : Environment("NVCV_CACHED_ADDRESS");
  if (settings.address) {
    settings.address = Absolute(*settings.address);
    if (absl::Status status = CheckSocketPath(*settings.address); !status.ok()) return status;
  }
  settings.device_asked = options.device.value_or(Environment("NVCV_CACHED_DEVICE").value_or(""));
  if (absl::Status status = ChooseDevice(settings); !status.ok()) return status;

  const std::string strict = Environment("NVCV_CACHED_STRICT_STREAMS").value_or("0");
  if (!options.strict_streams && strict != "0" && strict != "1") {
    return absl::InvalidArgumentError(
        absl::StrCat("NVCV_CACHED_STRICT_STREAMS=", strict, "; wanted 0 or 1"));
  }
  settings.strict_streams = options.strict_streams.value_or(strict == "1");

  settings.name = ToUtf8(options.name.value_or(
      Environment("NVCV_CACHED_NAME").value_or(program_invocation_short_name)));

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
  if (absl::Status status = CheckLogLevel(); !status.ok()) return status;
  return settings;
}

absl::Status CheckSame(const Settings& settings, const Options& options) {
  auto differs = [](std::string_view what, std::string_view now, std::string_view asked) {
    return absl::InvalidArgumentError(absl::StrCat(
        "connect(", absl::string_view(what.data(), what.size()), "=\"",
        absl::string_view(asked.data(), asked.size()), "\"), but this process is connected with \"",
        absl::string_view(now.data(), now.size()), "\"; do: connect before the first object"));
  };
  if (options.device && *options.device != settings.device_asked &&
      *options.device != settings.device) {
    return differs("device", settings.device.empty() ? "the daemon's" : settings.device,
                   *options.device);
  }
  if (options.strict_streams && *options.strict_streams != settings.strict_streams) {
    return differs("strict_streams", settings.strict_streams ? "1" : "0",
                   *options.strict_streams ? "1" : "0");
  }
  if (options.address && Absolute(*options.address) != settings.address) {
    return differs("address", settings.address.value_or("the default socket"), *options.address);
  }
  if (options.name && ToUtf8(*options.name) != settings.name) {
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
