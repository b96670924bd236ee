// A batch of images of different sizes.
#include <iostream>

#include "nvcv_cached/nvcv_cached.h"

namespace nc = nvcv_cached;

int main() {
  nc::ImageBatchVarShape batch(8);
  batch.push_back(
      {nc::Image({640, 480}, nc::Format::kRGB8), nc::Image({320, 960}, nc::Format::kRGB8)});
  nc::Size largest = batch.max_size();
  std::cout << batch.size() << " " << largest.width << "x" << largest.height << "\n";  // 2 640x960
  try {
    batch.pop_back(3);
  } catch (const nc::Underflow&) {
    std::cout << "still " << batch.size() << "\n";  // still 2
  }
}
