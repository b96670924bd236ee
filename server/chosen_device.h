// From the setting `device` to the device: which one it is, then the device itself.
//
// Choosing takes nothing of the device: settings need its size, and the lock its name, before
// another daemon on the same device can be told apart. Thread-safety: ChooseDevice before the
// process has a second thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/cuda_driver.h"
#include "server/device/cuda_gpu.h"
#include "server/device/device.h"

namespace nvcv_cached::server {

struct ChosenDevice {
  DeviceInfo info;
  const CudaDriver* driver = nullptr;  // nullptr: the host
  Gpu gpu;
  std::string note;  // why it is not what one might expect
};

// `name` as in daemon_settings.h; "": the first GPU, without a driver or a GPU the host. NOT_FOUND:
// no such GPU, or no driver; FAILED_PRECONDITION: it cannot be used, with what to do.
absl::StatusOr<ChosenDevice> ChooseDevice(const std::string& name);

// `on_failure` as in cuda_device.h.
absl::StatusOr<std::unique_ptr<Device>> OpenDevice(
    const ChosenDevice& chosen, std::function<void(const absl::Status&)> on_failure);

}  // namespace nvcv_cached::server
