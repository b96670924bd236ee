#include "client/src/cuda/gpu_choice.h"

#include <array>
#include <cctype>
#include <cstring>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/src/errors.h"
#include "proto/cuda_driver.h"

namespace nvcv_cached::client {

namespace {

using Uuid = std::array<unsigned char, 16>;

std::optional<Uuid> ParseUuid(std::string_view text) {
  if (const size_t dash = text.find('-'); dash == 3) text.remove_prefix(4);  // "GPU-", "MIG-"
  Uuid uuid{};
  size_t digits = 0;
  for (char c : text) {
    if (c == '-') continue;
    if (!std::isxdigit(static_cast<unsigned char>(c)) || digits == 32) return std::nullopt;
    const int value = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    uuid[digits / 2] = static_cast<unsigned char>(uuid[digits / 2] << 4 | value);
    ++digits;
  }
  if (digits != 32) return std::nullopt;
  return uuid;
}

std::string UuidText(const Uuid& uuid, std::string_view prefix) {
  std::string text(prefix);
  for (size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    absl::StrAppend(&text, absl::Hex(uuid[i], absl::kZeroPad2));
  }
  return text;
}

struct Seen {
  SeenGpu gpu;
  Uuid uuid{};
};

absl::StatusOr<Seen> Look(const CudaDriver& driver, int ordinal) {
  Seen seen;
  seen.gpu.ordinal = ordinal;
  char name[128] = {};
  size_t bytes = 0;
  CUuuid uuid{};
  absl::Status status = driver.Check(driver.DeviceGet(&seen.gpu.device, ordinal),
                                     absl::StrCat("cuDeviceGet ", ordinal));
  if (status.ok()) {
    status = driver.Check(driver.DeviceGetUuid(&uuid, seen.gpu.device), "cuDeviceGetUuid");
  }
  if (status.ok()) {
    status = driver.Check(driver.DeviceGetName(name, sizeof(name) - 1, seen.gpu.device),
                          "cuDeviceGetName");
  }
  if (status.ok()) {
    status = driver.Check(driver.DeviceTotalMem(&bytes, seen.gpu.device), "cuDeviceTotalMem");
  }
  if (!status.ok()) return ForceCode(status, ErrorCode::kDeviceError);
  std::memcpy(seen.uuid.data(), uuid.bytes, seen.uuid.size());
  seen.gpu.name = name;
  seen.gpu.total_bytes = bytes;
  seen.gpu.uuid = UuidText(seen.uuid, absl::StrContains(name, "MIG") ? "MIG-" : "GPU-");
  return seen;
}

absl::StatusOr<std::vector<Seen>> LookAtAll(const CudaDriver& driver) {
  int count = 0;
  absl::Status status = driver.Check(driver.DeviceGetCount(&count), "cuDeviceGetCount");
  if (!status.ok()) return ForceCode(status, ErrorCode::kDeviceError);
  std::vector<Seen> all;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    absl::StatusOr<Seen> seen = Look(driver, ordinal);
    if (!seen.ok()) return seen.status();
    all.push_back(*std::move(seen));
  }
  return all;
}

absl::Status NotSeen(std::string_view named, const std::vector<Seen>& all) {
  std::vector<std::string> texts;
  for (const Seen& seen : all)
    texts.push_back(absl::StrCat("cuda:", seen.gpu.ordinal, " ", seen.gpu.uuid));
  return WithHint(ForceCode(absl::NotFoundError(absl::StrCat(
                                "device ", absl::string_view(named.data(), named.size()),
                                " was asked for; this process sees ",
                                texts.empty() ? "no GPU" : absl::StrJoin(texts, ", "))),
                            ErrorCode::kDeviceError),
                  "look at CUDA_VISIBLE_DEVICES and at the container's devices");
}

}  // namespace

absl::StatusOr<SeenGpu> FindGpu(std::string_view named) {
  const absl::string_view text(named.data(), named.size());
  int ordinal = -1;
  const std::optional<Uuid> uuid = ParseUuid(named);
  if (text == "cuda") {
    ordinal = 0;
  } else if (absl::StartsWith(text, "cuda:")) {
    if (!absl::SimpleAtoi(text.substr(5), &ordinal) || ordinal < 0) ordinal = -1;
  }
  if (ordinal < 0 && !uuid) {
    return WithHint(absl::InvalidArgumentError(absl::StrCat("device \"", text, "\" was asked for")),
                    "use host, cuda:N or a GPU's UUID");
  }
  absl::StatusOr<const CudaDriver*> driver = CudaDriver::Load();
  if (!driver.ok()) {
    return WithHint(
        ForceCode(absl::Status(driver.status().code(),
                               absl::StrCat("device \"", text, "\" was asked for; found ",
                                            driver.status().message())),
                  ErrorCode::kDeviceError),
        "set NVCV_CACHED_DEVICE=host, or run nvidia-smi to see what is wrong");
  }
  absl::StatusOr<std::vector<Seen>> all = LookAtAll(**driver);
  if (!all.ok()) return all.status();
  for (const Seen& seen : *all) {
    if (uuid ? seen.uuid == *uuid : seen.gpu.ordinal == ordinal) return seen.gpu;
  }
  return NotSeen(named, *all);
}

absl::StatusOr<int> CountGpus() {
  absl::StatusOr<const CudaDriver*> driver = CudaDriver::Load();
  if (absl::IsNotFound(driver.status())) return 0;
  if (!driver.ok()) return ForceCode(driver.status(), ErrorCode::kDeviceError);
  int count = 0;
  absl::Status status = (*driver)->Check((*driver)->DeviceGetCount(&count), "cuDeviceGetCount");
  if (!status.ok()) return ForceCode(status, ErrorCode::kDeviceError);
  return count;
}

int CurrentOrdinalOfThread() {
  static const CudaDriver& driver = **CudaDriver::Load();
  CUcontext context = nullptr;
  CUdevice device = 0;
  // Devices are numbered as the driver lists them. Without a context its question is an error.
  if (driver.CtxGetCurrent(&context) != CUDA_SUCCESS || context == nullptr) return 0;
  return driver.CtxGetDevice(&device) == CUDA_SUCCESS ? device : 0;
}

absl::StatusOr<SeenGpu> CurrentGpu() {
  absl::StatusOr<const CudaDriver*> driver = CudaDriver::Load();
  if (!driver.ok()) {
    return absl::IsNotFound(driver.status()) ? driver.status()
                                             : ForceCode(driver.status(), ErrorCode::kDeviceError);
  }
  absl::StatusOr<std::vector<Seen>> all = LookAtAll(**driver);
  if (!all.ok()) return all.status();
  const int current = CurrentOrdinalOfThread();
  for (const Seen& seen : *all) {
    if (seen.gpu.device == current) return seen.gpu;
  }
  return absl::NotFoundError("no GPU for this process: the driver lists none");
}

}  // namespace nvcv_cached::client
