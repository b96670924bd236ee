#include "server/chosen_device.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/device/cuda_device.h"
#include "server/device/host_device.h"

namespace nvcv_cached::server {

absl::StatusOr<ChosenDevice> ChooseDevice(const std::string& name) {
  ChosenDevice chosen;
  if (name != "host") {
    PrepareCudaEnvironment(name);
    const absl::StatusOr<const CudaDriver*> driver = CudaDriver::Load();
    if (driver.ok()) {
      absl::StatusOr<Gpu> gpu = FindGpu(**driver, name.empty() ? "cuda:0" : name);
      if (!gpu.ok()) return gpu.status();
      chosen.info = gpu->info;
      chosen.driver = *driver;
      chosen.gpu = *std::move(gpu);
      return chosen;
    }
    if (!name.empty() || !absl::IsNotFound(driver.status())) {
      return absl::Status(
          driver.status().code(),
          absl::StrCat(name.empty() ? "the first GPU" : name, ": ", driver.status().message(),
                       "; do: look at nvidia-smi, or use --device host"));
    }
    chosen.note = std::string(driver.status().message());
  }
  chosen.info = HostDevice().info();
  return chosen;
}

absl::StatusOr<std::unique_ptr<Device>> OpenDevice(
    const ChosenDevice& chosen, std::function<void(const absl::Status&)> on_failure) {
  if (chosen.driver == nullptr) return std::make_unique<HostDevice>();
  return CudaDevice::Open(*chosen.driver, chosen.gpu, {.on_failure = std::move(on_failure)});
}

}  // namespace nvcv_cached::server
