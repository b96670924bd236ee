#include <stdexcept>
#include <string>

#include "pipeline.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace demo {

Pixels Decode(const char* path) {
  int width = 0, height = 0, channels = 0;
  stbi_uc* pixels = stbi_load(path, &width, &height, &channels, kChannels);
  if (pixels == nullptr) throw std::runtime_error(std::string(path) + ": " + stbi_failure_reason());
  Pixels image{height, width, {pixels, pixels + std::size_t{1} * height * width * kChannels}};
  stbi_image_free(pixels);
  return image;
}

}  // namespace demo
