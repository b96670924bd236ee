// A batch of tensors of one rank, type and layout.
#include <iostream>

#include "nvcv_cached/nvcv_cached.h"

namespace nc = nvcv_cached;

int main() {
  nc::TensorBatch batch(4);
  for (int height : {48, 96})
    batch.push_back(nc::Tensor({height, 64, 3}, nc::DataType::kU8, "HWC"));
  std::cout << batch.rank() << " " << batch.dtype()->name() << " " << batch.layout().str()
            << "\n";                            // 3 U8 HWC
  std::cout << batch[1].shape().str() << "\n";  // (96, 64, 3)
  try {
    batch.push_back(nc::Tensor({48, 64}, nc::DataType::kU8, "HW"));
  } catch (const nc::InvalidArgument&) {
    std::cout << "another rank: still " << batch.size() << "\n";  // another rank: still 2
  }
}
