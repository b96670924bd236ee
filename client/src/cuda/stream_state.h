// A CUDA stream behind the public Stream: a handle, and whether we made it. An owned stream is
// destroyed with the last Stream, thread or timeline that knows it; its work still finishes then.
// Thread-safety: immutable.
#pragma once

#include <cuda.h>

#include "client/src/cuda/gpu.h"

namespace nvcv_cached::client {

struct StreamState {
  const Gpu* gpu = nullptr;  // of an owned stream
  CUstream handle = nullptr;
  bool owned = false;

  StreamState(const Gpu* of, CUstream stream, bool is_owned)
      : gpu(of), handle(stream), owned(is_owned) {}
  ~StreamState() {
    if (owned && gpu->IsAlive()) gpu->driver().StreamDestroy(handle);
  }
  StreamState(const StreamState&) = delete;
  StreamState& operator=(const StreamState&) = delete;
};

}  // namespace nvcv_cached::client
