// What a client here would go by: each variable of nvcv_cached/device.h with its value and where
// that comes from. Reads the environment alone: neither driver nor daemon is asked. Thread-safe.
#pragma once

#include <string>
#include <vector>

namespace nvcv_cached::cli {

struct ClientSetting {
  std::string key;     // "timeout"
  std::string value;   // as it was written, or the default in words
  std::string origin;  // default, env
};

std::vector<ClientSetting> ClientSettings();

}  // namespace nvcv_cached::cli
