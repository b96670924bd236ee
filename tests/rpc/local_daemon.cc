#include "tests/rpc/local_daemon.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>
#include <utility>

#include "spdlog/spdlog.h"

namespace nvcv_cached::server::testing {

class MemfdDevice final : public Device {
 public:
  explicit MemfdDevice(const std::string& kind) {
    info_.kind = kind;
    info_.id = "host";
    info_.name = "memfds of a test";
    info_.total_bytes = uint64_t{1} << 30;
    info_.slab_granularity = 4096;
  }
  const DeviceInfo& info() const override { return info_; }
  absl::StatusOr<SlabHandle> AllocateSlab(uint64_t, uint64_t size_bytes) override {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !held_; });
    }
    UniqueFd fd(::memfd_create("slab", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0) {
      return absl::ResourceExhaustedError("memfd");
    }
    ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    SlabHandle handle;
    handle.memfd = std::move(fd);
    return handle;
  }
  absl::Status FreeSlab(uint64_t) override { return absl::OkStatus(); }
  uint64_t FreeBytes() override { return info_.total_bytes; }

  void SetHeld(bool held) {
    {
      std::lock_guard lock(mutex_);
      held_ = held;
    }
    changed_.notify_all();
  }

 private:
  DeviceInfo info_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
};

Settings TestSettings() {
  Settings settings;
  settings.capacity_bytes = uint64_t{1} << 30;
  settings.limit_bytes = uint64_t{1} << 30;
  settings.slab_bytes = uint64_t{16} << 20;
  return settings;
}

LocalDaemon::LocalDaemon(DaemonOptions options) : clock_(std::move(options.clock)) {
  spdlog::set_level(spdlog::level::err);  // hostile clients make many lines
  std::string pattern = "/tmp/nvcv-cached-rpc-XXXXXX";
  directory_ = ::mkdtemp(pattern.data());
  socket_path_ = directory_ + "/host.sock";
  device_ = std::make_unique<MemfdDevice>(options.device_kind);
  broker_ = std::make_unique<Broker>(options.settings, 7, *device_, *clock_);
  options.rpc.socket_path = socket_path_;
  server_ = std::make_unique<RpcServer>(*broker_, options.rpc);
  broker_->OnStateChange(
      [this](ServingState state) { server_->SetServing(state == ServingState::kServing); });
  started_ = server_->Start({});
}

LocalDaemon::~LocalDaemon() {
  ReleaseDevice();
  server_->Shutdown(std::chrono::milliseconds(500));
  server_.reset();
  broker_.reset();
  std::filesystem::remove_all(directory_);
}

void LocalDaemon::HoldDevice() { device_->SetHeld(true); }
void LocalDaemon::ReleaseDevice() { device_->SetHeld(false); }

PoolReport LocalDaemon::pool() {
  return broker_->With([](Books& books) { return books.GetPool(); });
}

bool Eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

int OpenDescriptors() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

}  // namespace nvcv_cached::server::testing
