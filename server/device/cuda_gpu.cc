#include "server/device/cuda_gpu.h"

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace nvcv_cached::server {
namespace {

absl::StatusOr<int> Attribute(const CudaDriver& driver, CUdevice device,
                              CUdevice_attribute attribute) {
  int value = 0;
  absl::Status status =
      driver.Check(driver.DeviceGetAttribute(&value, attribute, device), "cuDeviceGetAttribute");
  if (!status.ok()) return status;
  return value;
}

// As nvidia-smi says it, where the module says it too; else the version of its CUDA interface.
std::string DriverVersion(const CudaDriver& driver) {
  std::ifstream module("/sys/module/nvidia/version");
  std::string version;
  if (std::getline(module, version) && !version.empty()) return version;
  return absl::StrCat("CUDA ", driver.version / 1000, ".", driver.version % 1000 / 10);
}

absl::StatusOr<Gpu> Describe(const CudaDriver& driver, int index) {
  Gpu gpu;
  char name[256] = "";
  char bus[32] = "";
  CUuuid uuid{};
  size_t total = 0;
  for (absl::Status status :
       {driver.Check(driver.DeviceGet(&gpu.device, index), "cuDeviceGet"),
        driver.Check(driver.DeviceGetName(name, sizeof(name), gpu.device), "cuDeviceGetName"),
        driver.Check(driver.DeviceGetUuid(&uuid, gpu.device), "cuDeviceGetUuid"),
        driver.Check(driver.DeviceGetPCIBusId(bus, sizeof(bus), gpu.device), "cuDeviceGetPCIBusId"),
        driver.Check(driver.DeviceTotalMem(&total, gpu.device), "cuDeviceTotalMem")}) {
    if (!status.ok()) return status;
  }
  const bool mig = absl::StrContains(name, " MIG ");
  gpu.info.kind = "cuda";
  gpu.info.id = absl::StrCat(mig ? "MIG-" : "GPU-", FormatUuid(uuid));
  gpu.info.name = name;
  gpu.info.index = index;
  gpu.info.total_bytes = total;
  gpu.info.slab_granularity = kGpuPageBytes;
  gpu.info.pci_bus_id = bus;
  gpu.info.driver = DriverVersion(driver);
  return gpu;
}

absl::StatusOr<std::vector<Gpu>> DescribeAll(const CudaDriver& driver) {
  int count = 0;
  if (absl::Status status = driver.Check(driver.DeviceGetCount(&count), "cuDeviceGetCount");
      !status.ok()) {
    return status;
  }
  std::vector<Gpu> gpus;
  for (int index = 0; index < count; ++index) {
    absl::StatusOr<Gpu> gpu = Describe(driver, index);
    if (!gpu.ok()) return gpu.status();
    gpus.push_back(*std::move(gpu));
  }
  return gpus;
}

bool IsNamed(const Gpu& gpu, const std::string& name) {
  absl::string_view rest = name;
  int index = -1;
  if (absl::ConsumePrefix(&rest, "cuda:") && absl::SimpleAtoi(rest, &index)) {
    return gpu.info.index == index;
  }
  return absl::StartsWith(absl::AsciiStrToLower(gpu.info.id), absl::AsciiStrToLower(name));
}

// Memory changes hands between processes here: each has to have a context of its own on the GPU,
// and a process that ends has to take its kernels with it.
absl::Status CheckShareable(const CudaDriver& driver, const Gpu& gpu) {
  auto refuse = [&](const std::string& found) {
    return absl::FailedPreconditionError(
        absl::StrCat(gpu.info.id, " (", gpu.info.name, "): ", found));
  };
  auto mode = Attribute(driver, gpu.device, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE);
  if (!mode.ok()) return mode.status();
  if (*mode == CU_COMPUTEMODE_PROHIBITED) {
    return refuse("its compute mode is PROHIBITED: nobody may use it; do: nvidia-smi -c DEFAULT");
  }
  if (*mode != CU_COMPUTEMODE_DEFAULT) {
    return refuse(
        "its compute mode is EXCLUSIVE_PROCESS: one process alone may use it, so no client could; "
        "do: nvidia-smi -c DEFAULT");
  }
  const auto mps = Attribute(driver, gpu.device, kMpsEnabled);
  if (mps.ok() && *mps != 0) {
    return refuse(
        "it is under MPS, where a killed process's kernels may go on and one process's fault ends "
        "others: memory "
        "cannot change hands safely; do: stop MPS (echo quit | nvidia-cuda-mps-control)");
  }
  const auto unified = Attribute(driver, gpu.device, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING);
  const auto integrated = Attribute(driver, gpu.device, CU_DEVICE_ATTRIBUTE_INTEGRATED);
  if (!unified.ok() || *unified == 0 || !integrated.ok() || *integrated != 0) {
    return refuse(
        "CUDA IPC needs a discrete GPU with unified addressing; do: use another GPU, or --device "
        "host");
  }
  return absl::OkStatus();
}

}  // namespace

void PrepareCudaEnvironment(const std::string& name) {
  ::setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (absl::StartsWith(name, "MIG-")) {
    ::setenv("CUDA_VISIBLE_DEVICES", name.c_str(), 1);
  } else if (!name.empty() || visible == nullptr || *visible != '\0') {
    ::unsetenv("CUDA_VISIBLE_DEVICES");
  }
}

absl::StatusOr<std::vector<DeviceInfo>> ListGpus(const CudaDriver& driver) {
  absl::StatusOr<std::vector<Gpu>> gpus = DescribeAll(driver);
  if (!gpus.ok()) return gpus.status();
  std::vector<DeviceInfo> infos;
  for (const Gpu& gpu : *gpus) infos.push_back(gpu.info);
  return infos;
}

absl::StatusOr<Gpu> FindGpu(const CudaDriver& driver, const std::string& name) {
  absl::StatusOr<std::vector<Gpu>> gpus = DescribeAll(driver);
  if (!gpus.ok()) return gpus.status();
  std::vector<Gpu> found;
  std::vector<std::string> all;
  for (Gpu& gpu : *gpus) {
    all.push_back(
        absl::StrCat("cuda:", gpu.info.index, " ", gpu.info.id, " (", gpu.info.name, ")"));
    if (IsNamed(gpu, name)) found.push_back(std::move(gpu));
  }
  if (found.size() != 1) {
    return absl::NotFoundError(absl::StrCat(
        name, found.empty() ? ": no such GPU" : ": more than one GPU is named so", "; found ",
        all.empty() ? "none" : absl::StrJoin(all, ", "), "; do: name one as nvidia-smi -L does"));
  }
  Gpu gpu = std::move(found.front());
  if (absl::Status status = CheckShareable(driver, gpu); !status.ok()) return status;
  const auto rows = Attribute(driver, gpu.device, CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT);
  const auto base = Attribute(driver, gpu.device, CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT);
  if (!rows.ok()) return rows.status();
  if (!base.ok()) return base.status();
  gpu.info.row_alignment = static_cast<uint32_t>(*rows);
  gpu.info.base_alignment = static_cast<uint32_t>(*base);
  if (driver.version < 12040) {
    gpu.warnings.push_back(
        "the driver does not tell whether MPS is in use (12.4 or newer does); do: keep MPS off");
  }
  return gpu;
}

std::string FormatUuid(const CUuuid& uuid) {
  std::string text;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    absl::StrAppend(&text, absl::Hex(static_cast<uint8_t>(uuid.bytes[i]), absl::kZeroPad2));
  }
  return text;
}

}  // namespace nvcv_cached::server
