// Tells the service manager how we are (systemd's notification protocol, without its library).
// Without NOTIFY_SOCKET it does nothing. Not thread-safe.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "proto/unique_fd.h"

namespace nvcv_cached::server {

class ServiceManager {
 public:
  ServiceManager();

  bool is_there() const { return static_cast<bool>(socket_); }
  // How often Alive is due at least; nullopt: nobody watches.
  std::optional<std::chrono::milliseconds> watchdog() const { return watchdog_; }

  void Ready();
  void Reloading();
  void Stopping();
  void Alive(const std::string& status);
  void ExtendTimeout(std::chrono::milliseconds more);

 private:
  void Send(const std::string& message);

  UniqueFd socket_;
  std::string address_;
  std::optional<std::chrono::milliseconds> watchdog_;
};

}  // namespace nvcv_cached::server
