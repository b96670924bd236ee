// A tensor: made, filled, seen in another shape, reused.
#include <cstring>
#include <iostream>

#include "nvcv_cached/nvcv_cached.h"

namespace nc = nvcv_cached;

int main() {
  {
    nc::Tensor frame({480, 640, 3}, nc::DataType::kU8, "HWC");  // rows are padded as NVCV pads them
    if (frame.device().is_host()) {
      std::memset(frame.data(), 128, frame.size_bytes());
    }  // else: a kernel's work on frame.data()
    nc::Tensor batch = frame.reshape({1, 480, 640, 3}, "NHWC");  // the same memory
    std::cout << batch.shape().str() << " " << batch.layout().str() << "\n";
    // (1, 480, 640, 3) NHWC
  }  // the last handle gives the memory back to this thread's cache
  nc::Tensor again({480, 640, 3}, nc::DataType::kU8, "HWC");  // a hit: no call, no lock
  std::cout << nc::stats().hits << "\n";                      // 1
}
