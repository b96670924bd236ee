#include "image_inference.h"

#include <limits>
#include <string>

#include "nvcv_cached/error.h"

namespace nvcv_cached::python {
namespace {

std::string Text(const std::vector<std::int64_t>& values) {
  std::string text = "(";
  for (std::size_t i = 0; i < values.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(values[i]);
  }
  return text + (values.size() == 1 ? ",)" : ")");
}

InvalidArgument Refusal(const ForeignBuffer& buffer, const std::string& why, const char* hint) {
  return InvalidArgument("an image of an array of shape " + Text(buffer.shape) + " and strides " +
                             Text(buffer.strides) + " bytes: " + why,
                         hint);
}

// As (N, H, W, C) or (N, C, H, W).
struct Dims {
  std::int64_t extents[4] = {1, 1, 1, 1};
  std::int64_t strides[4] = {0, 0, 0, 0};
};

Dims FourDims(const ForeignBuffer& buffer, bool channel_last) {
  Dims dims;
  const std::size_t rank = buffer.shape.size();
  // Where the array's first dimension goes: (H, W) into (N, C, H, W), a row likewise.
  std::size_t at = 4 - rank;
  if (rank == 2 && channel_last) at = 1;
  for (std::size_t dim = 0; dim < rank; ++dim) {
    dims.extents[at + dim] = buffer.shape[dim];
    dims.strides[at + dim] = buffer.strides[dim];
  }
  return dims;
}

void CheckStrides(const ForeignBuffer& buffer, bool channel_last, const Dims& dims) {
  const std::int64_t element = buffer.type.size_bytes();
  const int w = channel_last ? 2 : 3;
  const std::int64_t pixel = channel_last ? element * dims.extents[3] : element;
  if (channel_last && dims.extents[3] > 1 && dims.strides[3] != element) {
    throw Refusal(buffer, "its channels are not next to each other", "make a contiguous copy");
  }
  if (dims.extents[w] > 1 && dims.strides[w] != pixel) {
    throw Refusal(buffer, "its pixels are not next to each other", "make a contiguous copy");
  }
  for (std::size_t dim = 0; dim < buffer.shape.size(); ++dim) {
    if (buffer.shape[dim] > 1 && buffer.strides[dim] <= 0) {
      throw Refusal(buffer, "a stride is not positive", "make a contiguous copy");
    }
  }
}

void AddPlanes(const ForeignBuffer& buffer, Format format, std::vector<ImagePlane>& planes) {
  const std::size_t rank = buffer.shape.size();
  if (rank < 2 || rank > 4) {
    throw Refusal(buffer, "it has " + std::to_string(rank) + " dimensions", "give 2 to 4");
  }
  if (buffer.type.components() != 1)
    throw Refusal(buffer, "its elements are vectors", "view them as scalars");
  const std::int64_t last = buffer.shape.back();
  const int index = static_cast<int>(planes.size());
  std::int64_t wanted = 0;
  if (format != Format() && index < format.planes()) {
    wanted = format.plane_type(index).components();
  }
  const bool channel_last = rank >= 3 && (format != Format() ? last == wanted : last <= 4);
  const Dims dims = FourDims(buffer, channel_last);
  CheckStrides(buffer, channel_last, dims);
  const std::int64_t height = dims.extents[channel_last ? 1 : 2];
  const std::int64_t width = dims.extents[channel_last ? 2 : 3];
  const std::int64_t channels = channel_last ? dims.extents[3] : 1;
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  if (height < 1 || width < 1 || height > kMost || width > kMost) {
    throw Refusal(buffer, "it has no pixels, or too many", "give sides from 1 to 2147483647");
  }
  const std::int64_t batch = dims.extents[0], planar = channel_last ? 1 : dims.extents[1];
  if (channels > 4 || batch * planar + index > kMaxPlanes) {
    throw Refusal(buffer, "it has more than 4 planes or channels",
                  "give an image of at most 4 channels, such as (H, W, 3) or (3, H, W)");
  }
  for (std::int64_t n = 0; n < batch; ++n) {
    for (std::int64_t c = 0; c < planar; ++c) {
      ImagePlane plane;
      plane.data = static_cast<char*>(buffer.data) + n * dims.strides[0] +
                   c * dims.strides[channel_last ? 0 : 1];
      plane.size = {static_cast<int>(width), static_cast<int>(height)};
      const std::int64_t row = width * channels * buffer.type.size_bytes();
      const std::int64_t stride = dims.strides[channel_last ? 1 : 2];
      plane.row_stride = height > 1 ? stride : row;
      if (!channel_last && height > 1 && stride != row) {
        throw Refusal(buffer, "its rows are padded", "make a contiguous copy, or give (H, W, 1)");
      }
      plane.type = DataType(buffer.type.kind(), buffer.type.bits(), static_cast<int>(channels));
      planes.push_back(plane);
    }
  }
}

bool Fits(Format format, const std::vector<ImagePlane>& planes) {
  if (format.is_block_linear() || format.planes() != static_cast<int>(planes.size())) return false;
  for (int i = 0; i < format.planes(); ++i) {
    const ImagePlane& plane = planes[static_cast<std::size_t>(i)];
    if (format.plane_type(i) != plane.type || format.plane_size(i, planes[0].size) != plane.size) {
      return false;
    }
  }
  return true;
}

// The format without a colour's name where there is a choice: U8 for one channel, RGB for three.
Format Infer(const std::vector<ImagePlane>& planes) {
  const DataType type = planes[0].type;
  const std::string component = DataType(type.kind(), type.bits()).name();
  std::string suffix = (type.kind() == DataKind::kFloat ? "f" : "") + std::to_string(type.bits());
  const std::string planar = planes.size() > 1 ? "p" : "";
  for (const std::string& name : {component, "_2" + component, "RGB" + suffix + planar,
                                  "RGBA" + suffix + planar, std::string("NV12_ER")}) {
    const std::optional<Format> format = Format::FromName(name);
    if (format.has_value() && Fits(*format, planes)) return *format;
  }
  std::string found;
  for (const ImagePlane& plane : planes) {
    found += (found.empty() ? "" : ", ") + std::to_string(plane.size.width) + "x" +
             std::to_string(plane.size.height) + " " + plane.type.name();
  }
  throw InvalidArgument("no format has planes of " + found,
                        "name the format, or convert the data to one that has a format");
}

}  // namespace

InferredImage InferImage(const std::vector<ForeignBuffer>& buffers, Format format) {
  InferredImage image;
  if (buffers.empty()) throw InvalidArgument("an image of no arrays", "give one for each plane");
  for (const ForeignBuffer& buffer : buffers) {
    if (buffer.cuda_device != buffers[0].cuda_device) {
      throw InvalidArgument("planes of one image on devices " +
                                std::to_string(buffers[0].cuda_device) + " and " +
                                std::to_string(buffer.cuda_device),
                            "copy them to one device");
    }
    AddPlanes(buffer, format, image.planes);
  }
  for (const ImagePlane& plane : image.planes) {
    if (plane.type.kind() != image.planes[0].type.kind()) {
      throw InvalidArgument(
          "planes of types " + image.planes[0].type.name() + " and " + plane.type.name(),
          "give planes of one kind");
    }
  }
  image.format = format == Format() ? Infer(image.planes) : format;
  if (!Fits(image.format, image.planes)) {
    std::string found;
    for (const ImagePlane& plane : image.planes) {
      found += (found.empty() ? "" : ", ") + std::to_string(plane.size.width) + "x" +
               std::to_string(plane.size.height) + " " + plane.type.name();
    }
    throw InvalidArgument(
        "planes of " + found + " as an image of format " + format.name(),
        "name the format of the data: its number of planes, their sizes and types");
  }
  return image;
}

}  // namespace nvcv_cached::python
