#include "client/src/process.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/src/connection.h"
#include "client/src/cuda/gpu_choice.h"
#include "client/src/fork_guard.h"
#include "client/src/options.h"
#include "client/src/process_connection.h"
#include "client/src/thread_cache.h"

namespace nvcv_cached::client {

namespace {

constexpr std::chrono::milliseconds kLongestGoodbye{1000};

struct BorrowedDevice {
  explicit BorrowedDevice(const Options& options) : connection(options) {}

  Connection connection;
  DeviceCache cache{connection};
  std::string id;  // "host" or a UUID; empty: nobody has named it so far
};

// The first of `all_` is the process's own: what a thread uses that named none, unless the process
// follows the current GPU. Entries are added, never taken away.
class Devices {
 public:
  static Devices& Process() {
    static auto* const devices = [] {
      auto* made = new Devices;
      std::atexit([] {
        if (!IsForkedChild()) Process().Leave();
      });
      return made;
    }();
    return *devices;
  }

  absl::StatusOr<ChosenDevice> Choose() {
    if (named_by_thread != nullptr) return ChosenDevice{.device = &named_by_thread->cache};
    std::lock_guard lock(mutex_);
    if (!all_[0]->id.empty() || DeviceIsInEnvironment()) return ChosenDevice{&all_[0]->cache};
    absl::StatusOr<int> gpus = CountGpus();
    // The connection says what is wrong with the driver.
    if (!gpus.ok() || *gpus < 2) return ChosenDevice{&all_[0]->cache};
    const int ordinal = CurrentOrdinalOfThread();
    absl::StatusOr<SeenGpu> gpu = CurrentGpu();
    if (!gpu.ok()) return gpu.status();
    return ChosenDevice{&Find(gpu->uuid).cache, CurrentOrdinalOfThread, ordinal};
  }

  absl::StatusOr<DeviceCache*> At(int ordinal) {
    absl::StatusOr<SeenGpu> gpu = FindGpu(absl::StrCat("cuda:", ordinal));
    if (!gpu.ok()) return gpu.status();
    absl::StatusOr<ChosenDevice> chosen = Choose();
    if (!chosen.ok()) return chosen.status();
    auto& connection = static_cast<Connection&>(chosen->device->source);
    absl::StatusOr<std::string> uuid = connection.GpuUuid();
    if (!uuid.ok()) return uuid.status();
    if (*uuid == gpu->uuid) return chosen->device;
    std::lock_guard lock(mutex_);
    return &Find(gpu->uuid).cache;
  }

  absl::StatusOr<Connection*> OfThread() {
    absl::StatusOr<ChosenDevice> chosen = Choose();
    if (!chosen.ok()) return chosen.status();
    return static_cast<Connection*>(&chosen->device->source);
  }

  absl::Status Connect(const Options& options) {
    if (!options.device) {
      absl::StatusOr<Connection*> connection = OfThread();
      return connection.ok() ? (*connection)->Connect(options) : connection.status();
    }
    absl::StatusOr<Settings> settings = ReadSettings(options);
    if (!settings.ok()) return settings.status();
    BorrowedDevice* device = nullptr;
    bool is_first = false;
    {
      std::lock_guard lock(mutex_);
      BorrowedDevice& own = *all_[0];
      is_first = own.id.empty() && !own.connection.was_connected();
      if (is_first) own.id = settings->device;
      device = &Find(settings->device);
    }
    absl::Status connected = device->connection.Connect(options);
    if (connected.ok()) {
      named_by_thread = device;
      ThreadCache::SwitchTo({.device = &device->cache});
    } else if (is_first) {
      std::lock_guard lock(mutex_);
      all_[0]->id.clear();  // the next one may name another
    }
    return connected;
  }

 private:
  Devices() { all_.push_back(std::make_unique<BorrowedDevice>(Options{})); }

  static bool DeviceIsInEnvironment() {
    for (const char* name : {"NVCV_CACHED_DEVICE", "NVCV_CACHED_ADDRESS"}) {
      const char* value = std::getenv(name);
      if (value != nullptr && *value != '\0') return true;
    }
    return false;
  }

  // mutex_ held.
  BorrowedDevice& Find(const std::string& id) {
    for (const auto& device : all_) {
      if (device->id == id || device->connection.DeviceIs(id)) return *device;
    }
    Options options;
    options.device = id;
    all_.push_back(std::make_unique<BorrowedDevice>(options));
    all_.back()->id = id;
    return *all_.back();
  }

  void Leave() {
    const auto deadline = std::chrono::steady_clock::now() + kLongestGoodbye;
    std::lock_guard lock(mutex_);
    for (const auto& device : all_) {
      const auto left = deadline - std::chrono::steady_clock::now();
      device->connection.Leave(std::chrono::duration_cast<std::chrono::milliseconds>(left));
    }
  }

  static thread_local BorrowedDevice* named_by_thread;

  std::mutex mutex_;
  std::vector<std::unique_ptr<BorrowedDevice>> all_;
};

thread_local BorrowedDevice* Devices::named_by_thread = nullptr;

}  // namespace

absl::StatusOr<ChosenDevice> ChooseDevice() { return Devices::Process().Choose(); }

absl::StatusOr<DeviceCache*> DeviceAt(int ordinal) {
  static constexpr int kRemembered = 64;
  static std::atomic<DeviceCache*> remembered[kRemembered];
  if (ordinal >= 0 && ordinal < kRemembered) {
    if (DeviceCache* const known = remembered[ordinal].load(std::memory_order_acquire)) {
      return known;
    }
  }
  absl::StatusOr<DeviceCache*> found = Devices::Process().At(ordinal);
  if (found.ok() && ordinal >= 0 && ordinal < kRemembered) {
    remembered[ordinal].store(*found, std::memory_order_release);
  }
  return found;
}

absl::StatusOr<Connection*> ThreadConnection() { return Devices::Process().OfThread(); }

absl::Status ConnectThread(const Options& options) { return Devices::Process().Connect(options); }

}  // namespace nvcv_cached::client
