// The daemon's RPC side in this process, on a socket in a directory of its own, over a device of
// plain memfds. Thread-safety: none, but for what Broker gives.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "server/core/clock.h"
#include "server/rpc/broker.h"
#include "server/rpc/server.h"

namespace nvcv_cached::server::testing {

Settings TestSettings();  // a GiB of capacity and limit, slabs of 16 MiB

struct DaemonOptions {
  Settings settings = TestSettings();
  RpcOptions rpc;  // the socket's path is filled in
  std::string device_kind = "host";
  std::shared_ptr<const Clock> clock = std::make_shared<SystemClock>();
};

class MemfdDevice;

class LocalDaemon {
 public:
  explicit LocalDaemon(DaemonOptions options = {});
  ~LocalDaemon();

  const std::string& socket_path() const { return socket_path_; }
  Broker& broker() { return *broker_; }
  RpcServer& server() { return *server_; }
  const absl::Status& started() const { return started_; }

  // From here on the device makes no slab until ReleaseDevice.
  void HoldDevice();
  void ReleaseDevice();

  PoolReport pool();
  uint32_t sessions() { return pool().sessions; }

 private:
  std::string directory_;
  std::string socket_path_;
  std::shared_ptr<const Clock> clock_;
  std::unique_ptr<MemfdDevice> device_;
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<RpcServer> server_;
  absl::Status started_;
};

// Looks again and again until it holds or ten seconds have passed.
bool Eventually(const std::function<bool()>& holds);

int OpenDescriptors();  // of this process

}  // namespace nvcv_cached::server::testing
