#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "pipeline.h"

namespace demo {
namespace {

// A tensor of height x width x 3 with its rows at hand.
template <class T>
struct Plane {
  Plane(int h, int w, nc::DataType type) : Plane(nc::Tensor({h, w, kChannels}, type, "HWC")) {}
  explicit Plane(const nc::Tensor& existing)
      : tensor(existing),
        height(static_cast<int>(tensor.shape()[0])),
        width(static_cast<int>(tensor.shape()[1])),
        pitch(tensor.stride_bytes(0)),
        bytes(static_cast<char*>(tensor.data())) {}
  T* row(int y) const { return reinterpret_cast<T*>(bytes + y * pitch); }

  nc::Tensor tensor;
  int height, width;
  std::int64_t pitch;
  char* bytes;
};

using Bytes = Plane<std::uint8_t>;
using Shorts = Plane<std::int16_t>;
using Ints = Plane<std::int32_t>;

Bytes Crop(const Bytes& image, const Box& box) {
  Bytes out(box.height, box.width, nc::DataType::kU8);
  for (int y = 0; y < box.height; ++y) {
    std::memcpy(out.row(y), image.row(box.y + y) + box.x * kChannels,
                static_cast<std::size_t>(box.width) * kChannels);
  }
  return out;
}

struct Tap {
  int first, second, weight;  // of the second, of 256
};

Tap TapOf(int index, int source, int target) {
  std::int64_t position = (2LL * index + 1) * source * 256 / (2LL * target) - 128;
  position = std::clamp<std::int64_t>(position, 0, (source - 1) * 256LL);
  int first = static_cast<int>(position >> 8);
  return {first, std::min(first + 1, source - 1), static_cast<int>(position & 255)};
}

Bytes Resize(const Bytes& image, int height, int width) {
  Ints rows(height, image.width, nc::DataType::kS32);
  for (int y = 0; y < height; ++y) {
    Tap tap = TapOf(y, image.height, height);
    const std::uint8_t* top = image.row(tap.first);
    const std::uint8_t* bottom = image.row(tap.second);
    std::int32_t* out = rows.row(y);
    for (int i = 0; i < image.width * kChannels; ++i) {
      out[i] = top[i] * (256 - tap.weight) + bottom[i] * tap.weight;
    }
  }
  Bytes out(height, width, nc::DataType::kU8);
  for (int x = 0; x < width; ++x) {
    Tap tap = TapOf(x, image.width, width);
    for (int y = 0; y < height; ++y) {
      const std::int32_t* row = rows.row(y);
      for (int c = 0; c < kChannels; ++c) {
        std::int32_t total = row[tap.first * kChannels + c] * (256 - tap.weight) +
                             row[tap.second * kChannels + c] * tap.weight;
        out.row(y)[x * kChannels + c] = static_cast<std::uint8_t>((total + 32768) >> 16);
      }
    }
  }
  return out;
}

Bytes Blur(const Bytes& image) {
  constexpr int kTaps[5] = {1, 4, 6, 4, 1};
  Ints columns(image.height, image.width, nc::DataType::kS32);
  for (int y = 0; y < image.height; ++y) {
    std::int32_t* out = columns.row(y);
    std::fill_n(out, image.width * kChannels, 0);
    for (int k = 0; k < 5; ++k) {
      const std::uint8_t* row = image.row(std::clamp(y + k - 2, 0, image.height - 1));
      for (int i = 0; i < image.width * kChannels; ++i) out[i] += kTaps[k] * row[i];
    }
  }
  Bytes out(image.height, image.width, nc::DataType::kU8);
  for (int y = 0; y < image.height; ++y) {
    const std::int32_t* row = columns.row(y);
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < kChannels; ++c) {
        std::int32_t total = 128;
        for (int k = 0; k < 5; ++k) {
          total += kTaps[k] * row[std::clamp(x + k - 2, 0, image.width - 1) * kChannels + c];
        }
        out.row(y)[x * kChannels + c] = static_cast<std::uint8_t>(total >> 8);
      }
    }
  }
  return out;
}

Shorts Normalise(const Bytes& image) {
  std::int64_t count = std::int64_t{image.height} * image.width;
  std::int64_t sum[kChannels] = {}, spread[kChannels] = {};
  std::int32_t mean[kChannels], scale[kChannels];
  for (int y = 0; y < image.height; ++y) {
    for (int i = 0; i < image.width * kChannels; ++i) sum[i % kChannels] += image.row(y)[i];
  }
  for (int c = 0; c < kChannels; ++c)
    mean[c] = static_cast<std::int32_t>((sum[c] + count / 2) / count);
  for (int y = 0; y < image.height; ++y) {
    for (int i = 0; i < image.width * kChannels; ++i) {
      spread[i % kChannels] += std::abs(image.row(y)[i] - mean[i % kChannels]);
    }
  }
  for (int c = 0; c < kChannels; ++c) {
    scale[c] = static_cast<std::int32_t>(65536 / std::max<std::int64_t>(spread[c] / count, 1));
  }
  Shorts out(image.height, image.width, nc::DataType::kS16);
  for (int y = 0; y < image.height; ++y) {
    for (int i = 0; i < image.width * kChannels; ++i) {
      int c = i % kChannels;
      std::int32_t value = (image.row(y)[i] - mean[c]) * scale[c] >> 8;
      out.row(y)[i] = static_cast<std::int16_t>(std::clamp(value, -32768, 32767));
    }
  }
  return out;
}

Ints Reduce(const Shorts& image) {
  Ints out(kCells, kCells, nc::DataType::kS32);
  for (int y = 0; y < kCells; ++y) std::fill_n(out.row(y), kCells * kChannels, 0);
  for (int y = 0; y < image.height; ++y) {
    std::int32_t* cells = out.row(y / (image.height / kCells));
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < kChannels; ++c) {
        cells[x / (image.width / kCells) * kChannels + c] += image.row(y)[x * kChannels + c];
      }
    }
  }
  return out;
}

template <class T>
std::uint64_t WeightedSum(const nc::Tensor& tensor) {
  Plane<T> plane(tensor);
  std::uint64_t total = 0, place = 1;
  for (int y = 0; y < plane.height; ++y) {
    for (int i = 0; i < plane.width * kChannels; ++i, place += 2) {
      total += static_cast<std::uint64_t>(std::int64_t{plane.row(y)[i]}) * (place * kWeight);
    }
  }
  return total;
}

class HostPipeline final : public Pipeline {
 public:
  nc::Tensor Upload(const Pixels& pixels) override {
    Bytes image(pixels.height, pixels.width, nc::DataType::kU8);
    const std::size_t row = std::size_t{1} * pixels.width * kChannels;
    for (int y = 0; y < pixels.height; ++y) {
      std::memcpy(image.row(y), pixels.bytes.data() + y * row, row);
    }
    return image.tensor;
  }

  std::vector<nc::Tensor> Process(const nc::Tensor& image, const Box& box) override {
    Bytes cropped = Crop(Bytes(image), box);
    std::vector<nc::Tensor> results;
    for (auto [height, width] : kSizes) {
      Bytes blurred = Blur(Resize(cropped, height, width));
      Shorts normal = Normalise(blurred);
      results.insert(results.end(), {blurred.tensor, normal.tensor, Reduce(normal).tensor});
    }
    return results;
  }

  std::uint64_t Checksum(const std::vector<nc::Tensor>& results) override {
    std::uint64_t total = 0;
    for (const nc::Tensor& tensor : results) {
      nc::DataType type = tensor.dtype();
      std::uint64_t sum = type == nc::DataType::kU8    ? WeightedSum<std::uint8_t>(tensor)
                          : type == nc::DataType::kS16 ? WeightedSum<std::int16_t>(tensor)
                                                       : WeightedSum<std::int32_t>(tensor);
      total = total * 31 + sum;
    }
    return total;
  }

  Pixels Download(const nc::Tensor& image) override {
    const Bytes plane(image);
    const std::size_t row = std::size_t{1} * plane.width * kChannels;
    Pixels pixels{plane.height, plane.width, std::vector<std::uint8_t>(plane.height * row)};
    for (int y = 0; y < plane.height; ++y) {
      std::memcpy(pixels.bytes.data() + y * row, plane.row(y), row);
    }
    return pixels;
  }

  void Fill(const nc::Buffer& buffer, std::uint8_t value) override {
    std::memset(buffer.data(), value, buffer.size_bytes());
  }

  bool IsFilledWith(const nc::Buffer& buffer, std::uint8_t value) override {
    const auto* bytes = static_cast<const std::uint8_t*>(buffer.data());
    return std::all_of(bytes, bytes + buffer.size_bytes(),
                       [value](std::uint8_t byte) { return byte == value; });
  }
};

}  // namespace

std::unique_ptr<Pipeline> OnHost() { return std::make_unique<HostPipeline>(); }

}  // namespace demo
