#include "client/cli/client_settings.h"

#include <cstdlib>

namespace nvcv_cached::cli {

namespace {

struct Variable {
  const char* key;
  const char* name;
  const char* by_default;
};
constexpr Variable kVariables[] = {
    {"device", "NVCV_CACHED_DEVICE", "the current CUDA device; without a driver: host"},
    {"address", "NVCV_CACHED_ADDRESS", "the system's socket if there is one, else the user's"},
    {"autostart", "NVCV_CACHED_AUTOSTART", "1"},
    {"daemon", "NVCV_CACHED_DAEMON", "nvcv-cached beside the library, then on PATH"},
    {"timeout", "NVCV_CACHED_TIMEOUT", "5s"},
    {"name", "NVCV_CACHED_NAME", "the program's name"},
    {"log", "NVCV_CACHED_LOG", "warn"},
    {"strict-streams", "NVCV_CACHED_STRICT_STREAMS", "0"},
};

}  // namespace

std::vector<ClientSetting> ClientSettings() {
  std::vector<ClientSetting> settings;
  for (const Variable& variable : kVariables) {
    const char* value = std::getenv(variable.name);
    const bool is_set = value != nullptr && *value != '\0';
    settings.push_back(
        {variable.key, is_set ? value : variable.by_default, is_set ? "env" : "default"});
  }
  return settings;
}

}  // namespace nvcv_cached::cli
