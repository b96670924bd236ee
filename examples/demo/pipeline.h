// The demo's pipeline in C++: what pipeline.py says, bit by bit, on either device. Every array is a
// cached object.
//
// Two implementations: pipeline_host.cc computes on the CPU, pipeline_gpu.cc launches kernels on
// the default stream. Not thread-safe. Calls throw std::runtime_error for what the driver or a file
// says, nvcv_cached::Error for memory.
#pragma once

#include <nvcv_cached/nvcv_cached.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace demo {

namespace nc = nvcv_cached;

inline constexpr int kChannels = 3;
inline constexpr int kCells = 8;
inline constexpr std::array<std::array<int, 2>, 3> kSizes = {{{384, 512}, {192, 256}, {96, 128}}};
inline constexpr std::uint64_t kWeight = 0x9E3779B97F4A7C15;

struct Box {
  int y, x, height, width;
};

// Rows without gaps, in this process's own memory.
struct Pixels {
  int height, width;
  std::vector<std::uint8_t> bytes;
};

// A PNG file as height x width x 3 bytes.
Pixels Decode(const char* path);

class Pipeline {
 public:
  virtual ~Pipeline() = default;
  virtual nc::Tensor Upload(const Pixels& pixels) = 0;

  // For each size the blurred image (u8), the normalised one (s16), the reduction (s32).
  virtual std::vector<nc::Tensor> Process(const nc::Tensor& image, const Box& box) = 0;

  // Of every element with its place, modulo 2 to the 64.
  virtual std::uint64_t Checksum(const std::vector<nc::Tensor>& results) = 0;

  virtual Pixels Download(const nc::Tensor& image) = 0;  // of bytes
  virtual void Fill(const nc::Buffer& buffer, std::uint8_t value) = 0;
  virtual bool IsFilledWith(const nc::Buffer& buffer, std::uint8_t value) = 0;
};

std::unique_ptr<Pipeline> OnHost();
std::unique_ptr<Pipeline> OnGpu();

}  // namespace demo
