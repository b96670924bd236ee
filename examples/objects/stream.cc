// Streams: the current one of a thread, and reuse.
#include <cstdint>
#include <iostream>

#include "nvcv_cached/nvcv_cached.h"

namespace nc = nvcv_cached;

int main() {
  std::uint64_t number;
  {
    nc::Stream stream;
    number = stream.id();
    nc::StreamScope current(stream);
    nc::Tensor frame({480, 640, 3}, nc::DataType::kU8, "HWC");
    frame.data();                                       // on a GPU: for work on `stream` ...
    frame.record_stream(nc::Stream::legacy_default());  // ... and there too
    std::cout << (nc::Stream::current().id() == number) << "\n";  // 1
    stream.synchronize();
  }
  std::cout << (nc::Stream().id() == number) << "\n";  // 1
}
