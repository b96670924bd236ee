// The management library of the fake driver: libnvidia-ml.so.1 with what a daemon asks for.
// FAKE_CUDA_DEVICES GPUs, or with FAKE_CUDA_MIG=N one that is divided into N.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr int kSuccess = 0, kInvalid = 2, kNotSupported = 3, kNotFound = 6;

int Number(const char* variable, int usual) {
  const char* text = std::getenv(variable);
  return text == nullptr ? usual : std::atoi(text);
}
int Instances() { return Number("FAKE_CUDA_MIG", 0); }
unsigned Gpus() {
  return Instances() != 0 ? 1 : static_cast<unsigned>(Number("FAKE_CUDA_DEVICES", 1));
}

// A GPU is its number and one, so that none is null; an instance is that much more.
using Device = void*;
constexpr intptr_t kGpu = 1, kInstance = 1000;

}  // namespace

#define FAKE_NVML extern "C" __attribute__((visibility("default"))) int

FAKE_NVML nvmlInit_v2() { return kSuccess; }
FAKE_NVML nvmlShutdown() { return kSuccess; }
FAKE_NVML nvmlDeviceGetCount_v2(unsigned* count) {
  *count = Gpus();
  return kSuccess;
}
FAKE_NVML nvmlDeviceGetHandleByIndex_v2(unsigned index, Device* device) {
  if (index >= Gpus()) return kInvalid;
  *device = reinterpret_cast<Device>(kGpu + static_cast<intptr_t>(index));
  return kSuccess;
}
FAKE_NVML nvmlDeviceGetUUID(Device device, char* text, unsigned length) {
  const auto number = reinterpret_cast<intptr_t>(device);
  const bool instance = number >= kInstance;
  const int written = std::snprintf(text, length, "%s-fa000000-0000-0000-0000-0000000000%02x",
                                    instance ? "MIG" : "GPU",
                                    static_cast<unsigned>(number - (instance ? kInstance : kGpu)));
  return written < static_cast<int>(length) ? kSuccess : kInvalid;
}
FAKE_NVML nvmlDeviceGetMigMode(Device, unsigned* current, unsigned* pending) {
  if (Instances() == 0) return kNotSupported;
  *current = *pending = 1;
  return kSuccess;
}
FAKE_NVML nvmlDeviceGetMaxMigDeviceCount(Device, unsigned* count) {
  *count = 7;
  return kSuccess;
}
// Numbers have gaps where an instance was taken away: only even ones are in use.
FAKE_NVML nvmlDeviceGetMigDeviceHandleByIndex(Device, unsigned index, Device* instance) {
  const auto number = static_cast<intptr_t>(index / 2);
  if (index % 2 != 0 || number >= Instances()) return kNotFound;
  *instance = reinterpret_cast<Device>(kInstance + number);
  return kSuccess;
}
