#include "server/device/mig.h"

#include <dlfcn.h>

#include <array>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace nvcv_cached::server {
namespace {

constexpr const char* kLibrary = "libnvidia-ml.so.1";
// As nvml.h has them, which is no part of CUDA's driver headers.
using Device = struct nvmlDevice_st*;
constexpr int kSuccess = 0;
constexpr size_t kUuidBytes = 96;

struct Nvml {
  int (*init)();
  int (*shutdown)();
  int (*count)(unsigned*);
  int (*by_index)(unsigned, Device*);
  int (*uuid)(Device, char*, unsigned);
  int (*mig_mode)(Device, unsigned* current, unsigned* pending);
  int (*most_instances)(Device, unsigned*);
  int (*instance)(Device, unsigned, Device*);
};

template <class Function>
bool Find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

bool FindAll(void* library, Nvml& nvml) {
  return Find(library, "nvmlInit_v2", nvml.init) && Find(library, "nvmlShutdown", nvml.shutdown) &&
         Find(library, "nvmlDeviceGetCount_v2", nvml.count) &&
         Find(library, "nvmlDeviceGetHandleByIndex_v2", nvml.by_index) &&
         Find(library, "nvmlDeviceGetUUID", nvml.uuid) &&
         Find(library, "nvmlDeviceGetMigMode", nvml.mig_mode) &&
         Find(library, "nvmlDeviceGetMaxMigDeviceCount", nvml.most_instances) &&
         Find(library, "nvmlDeviceGetMigDeviceHandleByIndex", nvml.instance);
}

absl::Status Failed(const char* call, int code) {
  return absl::InternalError(absl::StrCat(kLibrary, ": ", call, " gives error ", code));
}

absl::StatusOr<std::string> UuidOf(const Nvml& nvml, Device device) {
  std::array<char, kUuidBytes> text{};
  if (const int code = nvml.uuid(device, text.data(), text.size()); code != kSuccess) {
    return Failed("nvmlDeviceGetUUID", code);
  }
  return std::string(text.data());
}

absl::StatusOr<NodeGpu> Describe(const Nvml& nvml, unsigned index) {
  Device device = nullptr;
  if (const int code = nvml.by_index(index, &device); code != kSuccess) {
    return Failed("nvmlDeviceGetHandleByIndex", code);
  }
  NodeGpu gpu;
  absl::StatusOr<std::string> uuid = UuidOf(nvml, device);
  if (!uuid.ok()) return uuid.status();
  gpu.uuid = *std::move(uuid);
  unsigned current = 0, pending = 0, most = 0;
  // One that cannot be divided answers that this is not supported.
  gpu.divided = nvml.mig_mode(device, &current, &pending) == kSuccess && current == 1;
  if (!gpu.divided || nvml.most_instances(device, &most) != kSuccess) return gpu;
  for (unsigned i = 0; i < most; ++i) {
    Device instance = nullptr;
    if (nvml.instance(device, i, &instance) != kSuccess) continue;  // none of that number
    absl::StatusOr<std::string> name = UuidOf(nvml, instance);
    if (!name.ok()) return name.status();
    gpu.instances.push_back(*std::move(name));
  }
  return gpu;
}

}  // namespace

absl::StatusOr<std::vector<NodeGpu>> ListNodeGpus() {
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return absl::NotFoundError(absl::StrCat("no ", kLibrary));
  const absl::Cleanup close = [library] { ::dlclose(library); };
  Nvml nvml{};
  if (!FindAll(library, nvml)) {
    return absl::NotFoundError(absl::StrCat(kLibrary, " knows no MIG: it is too old"));
  }
  if (const int code = nvml.init(); code != kSuccess) return Failed("nvmlInit", code);
  const absl::Cleanup shutdown = [&nvml] { nvml.shutdown(); };
  unsigned count = 0;
  if (const int code = nvml.count(&count); code != kSuccess) {
    return Failed("nvmlDeviceGetCount", code);
  }
  std::vector<NodeGpu> gpus;
  for (unsigned index = 0; index < count; ++index) {
    absl::StatusOr<NodeGpu> gpu = Describe(nvml, index);
    if (!gpu.ok()) return gpu.status();
    gpus.push_back(*std::move(gpu));
  }
  return gpus;
}

}  // namespace nvcv_cached::server
