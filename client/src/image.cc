#include "nvcv_cached/image.h"

#include <limits>
#include <string>
#include <utility>

#include "client/src/fork_guard.h"
#include "client/src/image_layout.h"
#include "client/src/item.h"
#include "client/src/spec.h"
#include "client/src/thread_cache.h"
#include "client/src/wrapping.h"
#include "nvcv_cached/error.h"

namespace nvcv_cached {
namespace {

std::string Text(Size size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

void CheckPlane(Format format, int index, const ImagePlane& plane, Size image) {
  const Size size = format.plane_size(index, image);
  const DataType type = format.plane_type(index);
  const std::string what = "plane " + std::to_string(index) + " of an image of " + Text(image) +
                           " pixels in format " + format.name();
  if (plane.size != size) {
    throw InvalidArgument(what + " is " + Text(plane.size) + ", and must be " + Text(size),
                          "give planes of the format's sizes");
  }
  if (plane.type != type) {
    throw InvalidArgument(
        what + " has pixels of " + plane.type.name() + ", and must have " + type.name(),
        "name the format of the data");
  }
  if (plane.data == nullptr) throw InvalidArgument(what + " is at a null pointer", "give memory");
  const std::int64_t row = size.width * type.size_bytes();
  if (size.height > 1 && plane.row_stride < row) {
    throw InvalidArgument(what + " has rows " + std::to_string(plane.row_stride) +
                              " bytes apart, and each has " + std::to_string(row),
                          "make a contiguous copy");
  }
}

}  // namespace

Image::Image(Size size, Format format, int row_align)
    : Container(client::TakeItem(client::Spec::OfImage(size, format, row_align))) {}

Image Image::Wrap(Format format, const std::vector<ImagePlane>& planes, Foreign foreign) {
  client::RefuseInForkedChild();
  const int count = format.planes();
  if (count == 0 || format.is_block_linear() || planes.size() != static_cast<std::size_t>(count)) {
    throw InvalidArgument(
        "an image of format " + format.name() + " on " + std::to_string(planes.size()) + " planes",
        count == 0 || format.is_block_linear()
            ? "use a format whose pixels lie in memory row by row"
            : "give " + std::to_string(count));
  }
  const Size size = planes[0].size;
  if (size.width < 1 || size.height < 1) {
    throw InvalidArgument("an image on other memory of " + Text(size) + " pixels",
                          "give sides of 1 or more");
  }
  client::Footprint rows;
  for (int i = 0; i < count; ++i) {
    const ImagePlane& plane = planes[static_cast<std::size_t>(i)];
    CheckPlane(format, i, plane, size);
    rows.strides[i] = plane.row_stride;
  }
  client::Item* const item = client::WrapForeign(client::Spec::OfImage(size, format, 0), rows,
                                                 std::move(foreign), planes[0].data);
  for (int i = 0; i < count; ++i) {
    item->wrapping->planes[i] = planes[static_cast<std::size_t>(i)].data;
  }
  return Image(item);
}

Size Image::size() const {
  return {static_cast<int>(item_->spec.extents[0]), static_cast<int>(item_->spec.extents[1])};
}

Format Image::format() const { return item_->spec.format(); }

std::size_t Image::size_bytes() const { return item_->size_bytes; }

bool Image::is_wrapped() const { return item_->wrapping != nullptr; }

ImagePlane Image::plane(int plane) const {
  client::RefuseInForkedChild();
  const Format format = item_->spec.format();
  ImagePlane found;
  found.size = format.plane_size(plane, size());
  found.type = format.plane_type(plane);
  found.row_stride = item_->strides[plane];
  char* const memory = static_cast<char*>(item_->HandOut());
  if (item_->wrapping != nullptr) {
    found.data = item_->wrapping->planes[plane];
  } else if (memory != nullptr) {
    found.data = memory + client::PlaneOffset(item_->spec, item_->strides, plane);
  }
  return found;
}

}  // namespace nvcv_cached
