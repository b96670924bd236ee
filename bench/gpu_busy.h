// The driver for benchmarks, a stream for each thread, and a GPU that is kept busy.
//
// A program without a GPU's driver ends at the first call. The kernel is PTX, which the driver
// compiles; one that runs none (the fake driver) makes no GPU busy, and ok() says so. Busy is for
// one thread, the functions are thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "proto/cuda_driver.h"

namespace nvcv_cached {

inline constexpr uint64_t kBusyNs = 20'000'000;

inline constexpr char kSpin[] =
#include "bench/spin.inc"
    ;

inline const CudaDriver& Cuda() {
  static const CudaDriver& driver = **CudaDriver::Load();
  return driver;
}

// The primary context is current on each thread that asks.
inline CUstream OwnStream() {
  static thread_local CUstream stream = [] {
    CUcontext context = nullptr;
    Cuda().DevicePrimaryCtxRetain(&context, 0);
    Cuda().CtxSetCurrent(context);
    CUstream made = nullptr;
    Cuda().StreamCreate(&made, CU_STREAM_NON_BLOCKING);
    return made;
  }();
  return stream;
}

// A thread that keeps the GPU busy with kernels of kBusyNs on a stream of its own. ok(): the driver
// runs them.
class Busy {
 public:
  Busy() {
    OwnStream();
    CUmodule module = nullptr;
    if (Cuda().ModuleLoadData(&module, kSpin) != CUDA_SUCCESS ||
        Cuda().ModuleGetFunction(&spin_, module, "spin") != CUDA_SUCCESS) {
      return;
    }
    ok_ = true;
    thread_ = std::thread([this] { Run(); });
    while (!started_) std::this_thread::yield();
  }
  ~Busy() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  bool ok() const { return ok_; }

 private:
  void Run() {
    CUstream stream = OwnStream();
    uint64_t duration = kBusyNs;
    void* arguments[] = {&duration};
    while (!stop_) {
      for (int i = 0; i < 4; ++i) {
        Cuda().LaunchKernel(spin_, 1, 1, 1, 1, 1, 1, 0, stream, arguments, nullptr);
      }
      started_ = true;
      Cuda().StreamSynchronize(stream);
    }
  }
  CUfunction spin_ = nullptr;
  bool ok_ = false;
  std::atomic<bool> stop_{false}, started_{false};
  std::thread thread_;
};

}  // namespace nvcv_cached

#define NEEDS_BUSY_GPU(state, busy)                       \
  if (!(busy).ok()) {                                     \
    (state).SkipWithError("this driver runs no kernels"); \
    return;                                               \
  }
