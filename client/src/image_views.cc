// An image's memory as tensors: what other libraries are given, and as_tensor.
#include <algorithm>
#include <string>
#include <vector>

#include "client/src/item.h"
#include "client/src/spec.h"
#include "client/src/wrapping.h"
#include "nvcv_cached/error.h"
#include "nvcv_cached/image.h"

namespace nvcv_cached {
namespace {

struct Dim {
  char label;
  std::int64_t extent;
  std::int64_t stride;
};

struct View {
  void* data;
  DataType channel;
  std::vector<Dim> dims;
};

DataType ChannelOf(DataType pixel) { return DataType(pixel.kind(), pixel.bits()); }

std::int64_t Distance(const ImagePlane& from, const ImagePlane& to) {
  return static_cast<char*>(to.data) - static_cast<char*>(from.data);
}

std::vector<ImagePlane> Planes(const Image& image) {
  std::vector<ImagePlane> planes;
  for (int i = 0; i < image.num_planes(); ++i) planes.push_back(image.plane(i));
  return planes;
}

// A single row is dense, whatever lies behind it.
View OfPlane(const ImagePlane& plane) {
  const DataType channel = ChannelOf(plane.type);
  const std::int64_t pixel = plane.type.size_bytes();
  return {plane.data,
          channel,
          {{'H', plane.size.height,
            plane.size.height == 1 ? plane.size.width * pixel : plane.row_stride},
           {'W', plane.size.width, pixel},
           {'C', plane.type.components(), channel.size_bytes()}}};
}

// The first plane that is not of the size, type and distance of those before; -1: they are even.
int FirstUneven(const std::vector<ImagePlane>& planes) {
  const std::int64_t pitch = planes.size() > 1 ? Distance(planes[0], planes[1]) : 0;
  for (std::size_t i = 0; i < planes.size(); ++i) {
    const ImagePlane& plane = planes[i];
    if (plane.type.components() != 1 || plane.type != planes[0].type ||
        plane.size != planes[0].size || plane.row_stride != planes[0].row_stride ||
        Distance(planes[0], plane) != pitch * static_cast<std::int64_t>(i) ||
        (i > 0 && pitch < plane.row_stride * plane.size.height)) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

std::vector<View> Views(const std::vector<ImagePlane>& planes) {
  std::vector<View> views;
  if (planes.size() == 1) {
    views.push_back(OfPlane(planes[0]));
    if (planes[0].type.components() == 1) views[0].dims.pop_back();
  } else if (FirstUneven(planes) < 0) {
    views.push_back(OfPlane(planes[0]));
    views[0].dims.pop_back();
    views[0].dims.insert(views[0].dims.begin(), {'C', static_cast<std::int64_t>(planes.size()),
                                                 Distance(planes[0], planes[1])});
  } else {
    for (const ImagePlane& plane : planes) views.push_back(OfPlane(plane));
  }
  return views;
}

std::string Labels(const std::vector<Dim>& dims) {
  std::string labels;
  for (const Dim& dim : dims) labels += dim.label;
  return labels;
}

std::vector<Dim> InLayout(const std::vector<Dim>& dims, const TensorLayout& layout) {
  const std::string_view labels = layout.view();
  const auto wrong = [&](const std::string& why) {
    return InvalidArgument(
        "an image of dimensions " + Labels(dims) + " in layout " + layout.str() + ": " + why,
        "use a layout such as HWC or NCHW that has its dimensions in order");
  };
  for (const char needed : {'H', 'W'}) {
    if (labels.find(needed) == std::string_view::npos) {
      throw wrong(std::string("there is no ") + needed);
    }
  }
  std::vector<Dim> ordered;
  auto next = dims.begin();
  for (const char label : labels) {
    const auto found =
        std::find_if(next, dims.end(), [&](const Dim& d) { return d.label == label; });
    if (found == dims.end()) {
      ordered.push_back({label, 1, 0});
      continue;
    }
    if (std::any_of(next, found, [](const Dim& skipped) { return skipped.extent > 1; })) {
      throw wrong(std::string("they are in another order before ") + label);
    }
    ordered.push_back(*found);
    next = found + 1;
  }
  if (std::any_of(next, dims.end(), [](const Dim& left) { return left.extent > 1; })) {
    throw wrong("not all of them are there, in this order");
  }
  // An extent of 1 lies as if it were dense.
  for (std::size_t i = ordered.size(); i-- > 0;) {
    if (ordered[i].stride != 0) continue;
    const bool last = i + 1 == ordered.size();
    ordered[i].stride = last ? dims.back().stride : ordered[i + 1].stride * ordered[i + 1].extent;
  }
  return ordered;
}

client::Item* Make(const View& view, const TensorLayout& layout, client::Item* parent,
                   client::Counts counts) {
  std::vector<std::int64_t> extents;
  client::Footprint strides;
  for (const Dim& dim : view.dims) {
    strides.strides[extents.size()] = dim.stride;
    extents.push_back(dim.extent);
  }
  return client::WrapParent(client::Spec::OfTensor(extents, view.channel, layout, 0), strides,
                            parent, view.data, counts);
}

}  // namespace

std::vector<Tensor> Image::views(const TensorLayout& layout) const {
  std::vector<Tensor> tensors;
  for (View& view : Views(Planes(*this))) {
    if (!layout.empty()) view.dims = InLayout(view.dims, layout);
    const TensorLayout labels = layout.empty() ? TensorLayout(Labels(view.dims)) : layout;
    tensors.push_back(Tensor(Make(view, labels, item_, client::Counts::kNot)));
  }
  return tensors;
}

Tensor as_tensor(const Image& image) {
  const std::string what = "a tensor on an image of format " + image.format().name();
  if (image.format().is_subsampled()) {
    throw NotImplemented(what + ", which is sub-sampled", "convert it to RGB first");
  }
  const std::vector<ImagePlane> planes = Planes(image);
  View view = OfPlane(planes[0]);
  if (planes.size() == 1 && planes[0].type.components() > 1) {
    view.dims.insert(view.dims.begin(), {'N', 1, planes[0].row_stride * planes[0].size.height});
    return Tensor(Make(view, "NHWC", image.item_, client::Counts::kAsItem));
  }
  if (const int uneven = FirstUneven(planes); uneven >= 0) {
    throw InvalidArgument(
        what + ", whose plane " + std::to_string(uneven) + " does not follow the others evenly",
        "copy it into an image of its own");
  }
  const auto count = static_cast<std::int64_t>(planes.size());
  const std::int64_t pitch =
      count > 1 ? Distance(planes[0], planes[1]) : planes[0].row_stride * planes[0].size.height;
  view.dims.pop_back();
  view.dims.insert(view.dims.begin(), {{'N', 1, pitch * count}, {'C', count, pitch}});
  return Tensor(Make(view, "NCHW", image.item_, client::Counts::kAsItem));
}

}  // namespace nvcv_cached
