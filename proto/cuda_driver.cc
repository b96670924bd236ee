#include "proto/cuda_driver.h"

#include <dlfcn.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace nvcv_cached {
namespace {

constexpr int kVersion = 12000;
constexpr char kLibrary[] = "libcuda.so.1";

// Of cuGetProcAddress_v2, which drivers have from 12.0 on.
using GetProcAddress = CUresult(CUDAAPI*)(const char* symbol, void** function, int version,
                                          cuuint64_t flags, CUdriverProcAddressQueryResult* found);

template <class Function>
bool Find(GetProcAddress get, const char* symbol, Function& function) {
  void* address = nullptr;
  CUdriverProcAddressQueryResult found = CU_GET_PROC_ADDRESS_SUCCESS;
  const CUresult result =
      get(symbol, &address, kVersion, CU_GET_PROC_ADDRESS_LEGACY_STREAM, &found);
  if (result != CUDA_SUCCESS || found != CU_GET_PROC_ADDRESS_SUCCESS) return false;
  function = reinterpret_cast<Function>(address);
  return address != nullptr;
}

absl::Status TooOld(const std::string& found) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the CUDA driver is older than 12.0 (525): ", found, "; do: install driver 525 or newer"));
}

absl::Status LoadInto(CudaDriver& driver) {
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = ::dlerror();
    return absl::NotFoundError(
        absl::StrCat("no CUDA driver on this machine: ", why == nullptr ? kLibrary : why));
  }
  const auto get = reinterpret_cast<GetProcAddress>(::dlsym(library, "cuGetProcAddress_v2"));
  if (get == nullptr) return TooOld(absl::StrCat(kLibrary, " has no cuGetProcAddress_v2"));
#define NVCV_CACHED_CUDA_FIND(Name) \
  if (!Find(get, "cu" #Name, driver.Name)) return TooOld("it has no cu" #Name);
  NVCV_CACHED_CUDA_FUNCTIONS(NVCV_CACHED_CUDA_FIND)
#undef NVCV_CACHED_CUDA_FIND
  CUdriverProcAddressQueryResult found = CU_GET_PROC_ADDRESS_SUCCESS;
  void* record = nullptr;
  if (get("cuCtxRecordEvent", &record, 12050, CU_GET_PROC_ADDRESS_LEGACY_STREAM, &found) ==
          CUDA_SUCCESS &&
      found == CU_GET_PROC_ADDRESS_SUCCESS) {
    driver.CtxRecordEvent = reinterpret_cast<CudaDriver::RecordOnContext>(record);
  }

  driver.DriverGetVersion(&driver.version);
  const CUresult started = driver.Init(0);
  if (started == CUDA_SUCCESS) return absl::OkStatus();
  const std::string text(driver.Check(started, "cuInit").message());
  if (started == CUDA_ERROR_NO_DEVICE || started == CUDA_ERROR_STUB_LIBRARY) {
    return absl::NotFoundError(absl::StrCat("no GPU for this process: ", text));
  }
  return absl::FailedPreconditionError(absl::StrCat("the CUDA driver does not start: ", text));
}

absl::StatusCode CodeOf(CUresult result) {
  switch (result) {
    case CUDA_ERROR_OUT_OF_MEMORY:
      return absl::StatusCode::kResourceExhausted;
    case CUDA_ERROR_INVALID_VALUE:
    case CUDA_ERROR_INVALID_HANDLE:
    case CUDA_ERROR_INVALID_DEVICE:
      return absl::StatusCode::kInvalidArgument;
    case CUDA_ERROR_NOT_READY:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::StatusOr<const CudaDriver*> CudaDriver::Load() {
  struct Loaded {
    CudaDriver driver;
    absl::Status status = LoadInto(driver);
  };
  static const Loaded* loaded = new Loaded;  // never destroyed: exit handlers may still use it
  if (!loaded->status.ok()) return loaded->status;
  return &loaded->driver;
}

bool CudaDriver::IsInstalled() { return ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL) != nullptr; }

absl::Status CudaDriver::Check(CUresult result, std::string_view what) const {
  if (result == CUDA_SUCCESS) return absl::OkStatus();
  const char* name = nullptr;
  const char* text = nullptr;
  GetErrorName(result, &name);
  GetErrorString(result, &text);
  return absl::Status(
      CodeOf(result),
      absl::StrCat(absl::string_view(what.data(), what.size()), ": ",
                   name == nullptr ? "unknown error" : name, " (", static_cast<int>(result), ")",
                   text == nullptr ? "" : ": ", text == nullptr ? "" : text));
}

bool IsSticky(CUresult result) {
  switch (result) {
    case CUDA_ERROR_DEINITIALIZED:
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_SYSTEM_NOT_READY:
    case CUDA_ERROR_MPS_RPC_FAILURE:
    case CUDA_ERROR_MPS_CLIENT_TERMINATED:
    case CUDA_ERROR_EXTERNAL_DEVICE:
    case CUDA_ERROR_UNKNOWN:
      return true;
    default:
      return static_cast<int>(result) == 226;  // CONTAINED, not in every cuda.h
  }
}

}  // namespace nvcv_cached
