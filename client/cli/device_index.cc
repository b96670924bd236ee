#include "client/cli/device_index.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/status/statusor.h"
#include "client/cli/daemons.h"
#include "client/src/cuda/gpu_choice.h"
#include "nvcv_cached/v1/admin.pb.h"
#include "proto/cuda_driver.h"
#include "proto/socket_paths.h"

namespace nvcv_cached::cli {

namespace {

bool IsIndex(const std::string& name) { return name.rfind("cuda:", 0) == 0; }

// There is a driver to ask, and it counts as nvidia-smi does.
bool HasDriver() {
  static const bool has = [] {
    ::setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
    ::unsetenv("CUDA_VISIBLE_DEVICES");
    return CudaDriver::Load().ok();
  }();
  return has;
}

int IndexInRecord(const std::string& socket) {
  std::ifstream file(socket + std::string(kLastSuffix), std::ios::binary);
  v1::Stats stats;
  return file && stats.ParseFromIstream(&file) ? stats.device().index() : -1;
}

}  // namespace

std::string DeviceOf(const std::string& socket) {
  return std::filesystem::path(socket).stem().string();
}

bool NamesAbsent(const std::string& name, const std::string& device, const std::string& socket) {
  if (!IsIndex(name)) return Names(name, device, -1);
  if (!HasDriver()) return Names(name, device, IndexInRecord(socket));
  const absl::StatusOr<client::SeenGpu> gpu = client::FindGpu(name);
  return gpu.ok() && gpu->uuid == device;
}

std::string SoughtAs(const std::string& name) {
  if (!IsIndex(name)) return name;
  if (!HasDriver()) return name + ", without a driver here to say which GPU that is";
  const absl::StatusOr<client::SeenGpu> gpu = client::FindGpu(name);
  return name + (gpu.ok() ? ", which is " + gpu->uuid : ", which the driver does not know");
}

std::string SocketDirectories() { return SystemSocketDirectory() + ", " + UserSocketDirectory(); }

}  // namespace nvcv_cached::cli
