#include "server/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace nvcv_cached::server {

ServiceManager::ServiceManager(UniqueFd relay) {
  const char* address = std::getenv("NOTIFY_SOCKET");
  if (address == nullptr || std::strlen(address) < 2 ||
      std::strlen(address) >= sizeof(sockaddr_un::sun_path)) {
    return;
  }
  const bool relayed = static_cast<bool>(relay);
  if (relayed) {
    socket_ = std::move(relay);
  } else {
    address_ = address;
    if (address_[0] == '@') address_[0] = '\0';  // the abstract namespace
    socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  }
  const char* microseconds = std::getenv("WATCHDOG_USEC");
  const char* pid = std::getenv("WATCHDOG_PID");
  int64_t period = 0;
  if (microseconds != nullptr && absl::SimpleAtoi(microseconds, &period) && period > 0 &&
      (pid == nullptr || pid == absl::StrCat(relayed ? ::getppid() : ::getpid()))) {
    watchdog_ = std::chrono::milliseconds(period / 1000);
  }
}

void ServiceManager::Send(const std::string& message) {
  if (!socket_) return;
  if (address_.empty()) {
    ::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  // A manager that does not listen is no reason to stop or to wait.
  ::sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
           reinterpret_cast<const sockaddr*>(&to), length);
}

void ServiceManager::Ready(const std::string& status) {
  Send(absl::StrCat("READY=1\nSTATUS=", status));
}

void ServiceManager::Reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  Send(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=",
                    int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000));
}

void ServiceManager::Stopping() { Send("STOPPING=1"); }

void ServiceManager::Alive(const std::string& status) {
  Send(absl::StrCat("WATCHDOG=1\nSTATUS=", status));
}

void ServiceManager::Status(const std::string& status) { Send(absl::StrCat("STATUS=", status)); }

void ServiceManager::ExtendTimeout(std::chrono::milliseconds more) {
  Send(absl::StrCat("EXTEND_TIMEOUT_USEC=", int64_t{more.count()} * 1000));
}

}  // namespace nvcv_cached::server
