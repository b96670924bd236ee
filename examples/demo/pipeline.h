// The demo's pipeline in C++: what pipeline.py says, bit by bit. Every array is a cached tensor.
#pragma once

#include <nvcv_cached/nvcv_cached.h>

#include <array>
#include <cstdint>
#include <vector>

namespace demo {

namespace nc = nvcv_cached;

struct Box {
  int y, x, height, width;
};

// A PNG file as height x width x 3 bytes. Throws std::runtime_error.
nc::Tensor Decode(const char* path);

// For each size the blurred image (u8), the normalised one (s16), the reduction (s32).
std::vector<nc::Tensor> Process(const nc::Tensor& image, const Box& box);

// Of every element with its place, modulo 2 to the 64.
std::uint64_t Checksum(const std::vector<nc::Tensor>& results);

}  // namespace demo
