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
  // `relay`: where a stand-in (high_pid.h) takes our messages; empty: NOTIFY_SOCKET itself.
  explicit ServiceManager(UniqueFd relay = UniqueFd());

  bool is_there() const { return static_cast<bool>(socket_); }
  // How often Alive is due at least; nullopt: nobody watches.
  std::optional<std::chrono::milliseconds> watchdog() const { return watchdog_; }

  void Ready(const std::string& status);
  void Reloading();
  void Stopping();
  void Alive(const std::string& status);   // feeds the watchdog
  void Status(const std::string& status);  // only says it
  void ExtendTimeout(std::chrono::milliseconds more);
  void Send(const std::string& message);  // as the protocol has it

 private:
  UniqueFd socket_;
  std::string address_;  // empty: the socket is connected
  std::optional<std::chrono::milliseconds> watchdog_;
};

}  // namespace nvcv_cached::server
