// The GPU that a session's memory is on, as this process sees it: found by UUID under whatever
// index, with its primary context retained (the one that torch, CuPy and CV-CUDA use).
//
// Invariant: a Gpu is made once per device and never destroyed; its context is the one that was
// primary when it was made. After cudaDeviceReset that context is gone: IsAlive says so, and no
// handle made in it may reach the driver again. No function leaves another context current than it
// found. Thread-safety: thread-safe, immutable.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/cuda_driver.h"

namespace nvcv_cached::client {

class Gpu {
 public:
  // `uuid` as in Welcome, such as "GPU-e93092cb-23a3-...". NOT_FOUND names the GPUs that this
  // process sees. Retains the primary context.
  static absl::StatusOr<const Gpu*> Open(std::string_view uuid);

  // The one whose context that is, or that this process numbers so, if it was opened. Null: none.
  static const Gpu* Find(CUcontext context);
  static const Gpu* At(int ordinal);

  const CudaDriver& driver() const { return driver_; }
  int ordinal() const { return ordinal_; }  // in this process
  CUdevice device() const { return device_; }
  CUcontext context() const { return context_; }
  const std::string& uuid() const { return uuid_; }

  bool IsAlive() const {
    unsigned long long id = 0;
    return driver_.CtxGetId(context_, &id) == CUDA_SUCCESS && id == context_id_;
  }

  // What the driver said, as an error of the device.
  absl::Status Check(CUresult result, std::string_view what) const;

 private:
  struct Opened;
  Gpu(const CudaDriver& driver, int ordinal, CUdevice device, std::string uuid)
      : driver_(driver), ordinal_(ordinal), device_(device), uuid_(std::move(uuid)) {}

  const CudaDriver& driver_;
  const int ordinal_;
  const CUdevice device_;
  const std::string uuid_;
  CUcontext context_ = nullptr;
  unsigned long long context_id_ = 0;
};

// DEVICE_ERROR of a context that cudaDeviceReset took away.
absl::Status ResetStatus();

// Makes the GPU's context current for a while, where another one (or none) is.
class ContextScope {
 public:
  explicit ContextScope(const Gpu& gpu) : gpu_(gpu) {
    CUcontext now = nullptr;
    gpu.driver().CtxGetCurrent(&now);
    if (__builtin_expect(now != gpu.context(), 0)) {
      pushed_ = gpu.driver().CtxPushCurrent(gpu.context()) == CUDA_SUCCESS;
    }
  }
  ~ContextScope() {
    CUcontext ours = nullptr;
    if (__builtin_expect(pushed_, 0)) gpu_.driver().CtxPopCurrent(&ours);
  }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  const Gpu& gpu_;
  bool pushed_ = false;
};

// Calls that allocate or query break captures on other threads unless the caller is in relaxed
// mode.
class RelaxedCapture {
 public:
  explicit RelaxedCapture(const Gpu& gpu) : driver_(gpu.driver()) {
    driver_.ThreadExchangeStreamCaptureMode(&mode_);
  }
  ~RelaxedCapture() { driver_.ThreadExchangeStreamCaptureMode(&mode_); }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  const CudaDriver& driver_;
  CUstreamCaptureMode mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
};

}  // namespace nvcv_cached::client
