// Device memory of the fake driver: each allocation is a file in FAKE_CUDA_DIR, mapped shared; an
// IPC handle is its name. Freed memory lives on for those who map it, and a handle of a process
// that has ended or freed is not opened, as on a GPU. A process may open a handle once (a GPU's
// driver counts): a client maps a slab once. Thread-safety: thread-safe.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace fake_cuda {

inline constexpr uint64_t kPage = uint64_t{2} << 20;

class Memory {
 public:
  Memory();

  uint64_t total() const { return total_; }
  uint64_t free();
  CUresult Allocate(CUdeviceptr* out, uint64_t bytes);
  CUresult Free(CUdeviceptr pointer);
  CUresult Range(CUdeviceptr* base, size_t* size, CUdeviceptr pointer);
  CUresult Export(CUipcMemHandle* handle, CUdeviceptr pointer);
  CUresult Open(CUdeviceptr* out, const CUipcMemHandle& handle);
  CUresult Close(CUdeviceptr pointer);

 private:
  struct Allocation {
    std::string name;
    uint64_t bytes = 0;
    bool imported = false;
    int lock = -1;  // tells other processes that this one has it
  };
  std::map<CUdeviceptr, Allocation>::iterator Find(CUdeviceptr pointer);

  std::mutex mutex_;
  std::map<CUdeviceptr, Allocation> allocations_;
  std::string directory_;
  uint64_t total_ = 0;
  uint64_t next_ = 1;
};

}  // namespace fake_cuda
