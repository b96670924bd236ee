// The CUDA driver, loaded at run time: one table of function pointers for daemon, library and
// tests.
//
// Nothing links to libcuda, so the same binary works on a machine without a driver. Each function
// is asked for at version 12.0 of the driver's interface (driver 525 or newer) with the legacy
// default stream; unsuffixed symbols of the library are old variants of them.
//
// Invariant: a table that Load returned has every function but those marked optional, and cuInit
// has succeeded in this process. It lives as long as the process. A process that forked after Load
// has no driver. Thread-safety: thread-safe.
#pragma once

#include <cuda.h>

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Those whose type in every cuda.h from 12.0 on is the one of version 12.0.
// clang-format off
#define NVCV_CACHED_CUDA_FUNCTIONS(X) \
  X(Init) X(DriverGetVersion) X(GetErrorName) X(GetErrorString) \
  X(DeviceGetCount) X(DeviceGet) X(DeviceGetName) X(DeviceGetUuid) X(DeviceGetAttribute) \
  X(DeviceTotalMem) X(DeviceGetPCIBusId) \
  X(DevicePrimaryCtxRetain) X(DevicePrimaryCtxRelease) \
  X(DevicePrimaryCtxSetFlags) X(DevicePrimaryCtxReset) \
  X(CtxGetCurrent) X(CtxSetCurrent) X(CtxPushCurrent) X(CtxPopCurrent) X(CtxGetDevice) \
  X(CtxGetId) X(CtxSetLimit) \
  X(MemAlloc) X(MemFree) X(MemGetInfo) X(MemGetAddressRange) X(MemAllocAsync) X(MemFreeAsync) \
  X(MemsetD8) X(MemsetD8Async) X(MemsetD32Async) \
  X(MemcpyDtoH) X(MemcpyHtoD) X(MemcpyDtoHAsync) \
  X(Memcpy2DAsync) X(MemHostRegister) X(MemHostGetDevicePointer) \
  X(IpcGetMemHandle) X(IpcOpenMemHandle) X(IpcCloseMemHandle) X(PointerGetAttribute) \
  X(StreamCreate) X(StreamCreateWithPriority) X(StreamDestroy) X(StreamSynchronize) \
  X(StreamGetId) X(StreamGetCtx) X(StreamIsCapturing) X(StreamWaitEvent) \
  X(StreamWriteValue64) X(StreamWaitValue32) X(LaunchHostFunc) \
  X(StreamBeginCapture) X(StreamEndCapture) X(ThreadExchangeStreamCaptureMode) \
  X(EventCreate) X(EventRecord) X(EventQuery) \
  X(EventDestroy) \
  X(ModuleLoadData) X(ModuleGetFunction) X(LaunchKernel)
// clang-format on

namespace nvcv_cached {

// CU_DEVICE_ATTRIBUTE_MPS_ENABLED, which headers before 12.4 do not have. (Drivers before that
// answer with an error.)
inline constexpr auto kMpsEnabled = static_cast<CUdevice_attribute>(133);

struct CudaDriver {
#define NVCV_CACHED_CUDA_MEMBER(Name) decltype(&::cu##Name) Name = nullptr;
  NVCV_CACHED_CUDA_FUNCTIONS(NVCV_CACHED_CUDA_MEMBER)
#undef NVCV_CACHED_CUDA_MEMBER

  // Newer headers give this name to a later variant.
  using RecordOnContext = CUresult(CUDAAPI*)(CUcontext, CUevent);
  RecordOnContext CtxRecordEvent = nullptr;  // optional: drivers from 12.5 on

  int version = 0;  // of the driver: 13000 is 13.0

  // NOT_FOUND: no driver on this machine, or no GPU that this process may see. FAILED_PRECONDITION:
  // the driver is too old, or does not start; the text says what it said. The answer is kept: the
  // first call decides.
  static absl::StatusOr<const CudaDriver*> Load();

  // There is a driver to load. It is not started: the process may still fork.
  static bool IsInstalled();

  // OK, or "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory", as RESOURCE_EXHAUSTED (no
  // memory), INVALID_ARGUMENT (a value or handle is wrong), UNAVAILABLE (not ready) or INTERNAL.
  absl::Status Check(CUresult result, std::string_view what) const;
};

// The context (or the whole device) is of no more use after it; a process gets over it only by
// ending.
bool IsSticky(CUresult result);

}  // namespace nvcv_cached
