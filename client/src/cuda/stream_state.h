// A CUDA stream behind the public Stream: a handle, and whether we made it. An owned stream is
// destroyed with the last Stream, thread or timeline that knows it; its work still finishes then.
// Thread-safety: immutable.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <memory>

#include "client/src/cuda/gpu.h"

namespace nvcv_cached::client {

struct StreamState : std::enable_shared_from_this<StreamState> {
  const Gpu* gpu = nullptr;  // of an owned stream
  CUstream handle = nullptr;
  bool owned = false;

  uint64_t id = 0;  // 0: the default stream

  StreamState(const Gpu* of, CUstream stream, bool is_owned, uint64_t number = 0)
      : gpu(of), handle(stream), owned(is_owned), id(number) {}
  ~StreamState() {
    if (owned && gpu->IsAlive()) gpu->driver().StreamDestroy(handle);
  }
  StreamState(const StreamState&) = delete;
  StreamState& operator=(const StreamState&) = delete;
};

}  // namespace nvcv_cached::client
