// Images: copied from the host, wrapped without a copy, with planes of their own.
#include <iostream>
#include <memory>
#include <vector>

#include "nvcv_cached/nvcv_cached.h"

namespace nc = nvcv_cached;

int main() {
  auto pixels = std::make_shared<std::vector<unsigned char>>(480 * 640 * 3);
  nc::Image photo({640, 480}, nc::Format::kRGB8);
  photo.CopyFromHost(0, pixels->data(), 640 * 3);
  std::cout << photo.format().name() << " " << photo.width() << "x" << photo.height()
            << "\n";  // RGB8 640x480

  // No copy: the wrapper keeps `pixels`, and counts 0 bytes.
  nc::Image same = nc::Image::Wrap(
      nc::Format::kBGR8, {{pixels->data(), {640, 480}, 640 * 3, nc::Format::kBGR8.plane_type(0)}},
      {pixels});
  std::cout << same.cache_bytes() << "\n";  // 0

  nc::Image video = nc::Image::Zeros({640, 480}, nc::Format::kNV12);
  nc::ImagePlane chroma = video.plane(1);
  std::cout << chroma.size.width << "x" << chroma.size.height << " " << chroma.type.name()
            << "\n";  // 320x240 2U8
}
