// Image, as_image, and as_tensor of an image.
#include "nvcv_cached/image.h"

#include <nanobind/stl/string.h>

#include <string>
#include <vector>

#include "arguments.h"
#include "bindings.h"
#include "data_types.h"
#include "export.h"
#include "foreign.h"
#include "image_inference.h"
#include "nvcv_cached/error.h"
#include "wrapped_images.h"

namespace nvcv_cached::python {
namespace {

bool IsSequence(nb::handle object) {
  return PyList_Check(object.ptr()) != 0 || PyTuple_Check(object.ptr()) != 0;
}

std::vector<ForeignBuffer> Buffers(nb::handle object, Use use) {
  std::vector<ForeignBuffer> buffers;
  if (IsSequence(object)) {
    for (nb::handle element : object) buffers.push_back(ImportBuffer(element, use));
  } else {
    buffers.push_back(ImportBuffer(object, use));
  }
  return buffers;
}

// Numbers in a sequence are a size that is none.
bool MayBeArrays(nb::handle object) {
  if (!IsSequence(object)) return LooksLikeBuffer(object);
  return nb::len(object) == 0 || LooksLikeBuffer(nb::object(object[0]));
}

Image Copied(nb::handle object, Format format, int rowalign) {
  const std::vector<ForeignBuffer> buffers = Buffers(object, Use::kRead);
  const InferredImage inferred = InferImage(buffers, format);
  Image image(inferred.planes[0].size, inferred.format, rowalign);
  for (int i = 0; i < image.num_planes(); ++i) {
    const ImagePlane& plane = inferred.planes[static_cast<std::size_t>(i)];
    image.CopyFromHost(i, plane.data, plane.row_stride);
  }
  return image;
}

// One buffer, or a list of one for each plane.
nb::object Cuda(const Image& self, nb::handle layout) {
  const std::vector<Tensor> views = self.views(LayoutOf(layout));
  if (views.size() == 1) return nb::cast(ExternalBuffer{views[0]});
  nb::list buffers;
  for (const Tensor& view : views) buffers.append(ExternalBuffer{view});
  return buffers;
}

nb::object EmptyArray(const Tensor& view) {
  static nb::handle empty = nb::object(nb::module_::import_("numpy").attr("empty")).release();
  nb::list shape;
  for (const std::int64_t extent : view.shape()) shape.append(extent);
  return empty(nb::tuple(shape), NumpyDtype(view.dtype()));
}

// Copies `count` planes from `first` on into an array in which they follow each other.
void CopyPlanes(const Image& image, int first, int count, nb::handle array) {
  auto* target =
      reinterpret_cast<char*>(nb::cast<std::uintptr_t>(array.attr("ctypes").attr("data")));
  for (int i = first; i < first + count; ++i) {
    const ImagePlane plane = image.plane(i);
    const std::int64_t row = plane.size.width * plane.type.size_bytes();
    image.CopyToHost(i, target, row);
    target += row * plane.size.height;
  }
}

nb::object Cpu(const Image& self, nb::handle layout) {
  const std::vector<Tensor> views = self.views(LayoutOf(layout));
  if (views.size() == 1) {
    nb::object array = EmptyArray(views[0]);
    CopyPlanes(self, 0, self.num_planes(), array);
    return array;
  }
  nb::list arrays;
  for (int i = 0; i < self.num_planes(); ++i) {
    nb::object array = EmptyArray(views[static_cast<std::size_t>(i)]);
    CopyPlanes(self, i, 1, array);
    arrays.append(array);
  }
  return arrays;
}

Image AsImage(nb::handle buffer, Format format) {
  if (!IsSequence(buffer) && !LooksLikeBuffer(buffer)) throw nb::next_overload();
  return WrapImage(buffer, format);
}

constexpr char kBuffers[] =
    "(H, W), (H, W, C) or (C, H, W), with a leading N for N planes or images above each other.";

void BindConstructors(nb::class_<Image, Container>& image) {
  image
      .def(
          "__init__",
          [](Image* self, const SizeArgument& size, Format format, nb::handle rowalign) {
            new (self) Image(size.size, format, IntOf(rowalign));
          },
          nb::arg("size"), nb::arg("format"), nb::arg("rowalign") = 0,
          nb::sig("def __init__(self, size: tuple[int, int], format: Format, rowalign: int = 0) -> "
                  "None"),
          "`size`: (width, height) in pixels. `rowalign`: 0 for the device's own, or a power of "
          "two "
          "in bytes. NotImplemented for a block linear format; else errors as Tensor's.")
      .def(
          "__init__",
          [](Image* self, nb::handle buffer, Format format, nb::handle rowalign) {
            if (!MayBeArrays(buffer)) throw nb::next_overload();
            new (self) Image(Copied(buffer, format, IntOf(rowalign)));
          },
          nb::arg("buffer"), nb::arg("format") = Format(), nb::arg("rowalign") = 0,
          nb::sig("def __init__(self, buffer: object, format: Format = ..., rowalign: int = 0) -> "
                  "None"),
          "A copy of a host array, or of a list of one for each plane; the format is inferred "
          "unless "
          "it is given.")
      .def_static(
          "zeros",
          [](const SizeArgument& size, Format format, nb::handle rowalign) {
            return Image::Zeros(size.size, format, IntOf(rowalign));
          },
          nb::arg("size"), nb::arg("format"), nb::arg("rowalign") = 0,
          nb::sig("def zeros(size: tuple[int, int], format: Format, rowalign: int = 0) -> Image"),
          "With all bytes 0, the padding too.");
}

}  // namespace

Image WrapImage(nb::handle buffer, Format format) {
  const std::vector<ForeignBuffer> buffers = Buffers(buffer, Use::kWrap);
  const InferredImage inferred = InferImage(buffers, format);
  nb::list owners;
  for (const ForeignBuffer& each : buffers) owners.append(each.owner);
  return Image::Wrap(inferred.format, inferred.planes, {Keep(owners), buffers[0].cuda_device});
}

void BindImages(nb::module_& module) {
  nb::class_<Image, Container> image(module, "Image", nb::is_weak_referenceable(),
                                     "An image on the device, borrowed from the cache: one to four "
                                     "planes of pixels in a Format.\n\n"
                                     "Contents are whatever the memory's last user left.");
  BindConstructors(image);
  image
      .def_prop_ro(
          "size", [](const Image& self) { return nb::make_tuple(self.width(), self.height()); },
          nb::sig("def size(self) -> tuple[int, int]"), "(width, height) in pixels.")
      .def_prop_ro("width", &Image::width, "In pixels.")
      .def_prop_ro("height", &Image::height, "In pixels.")
      .def_prop_ro("format", &Image::format, "As asked for, or inferred.")
      .def("cuda", &Cuda, nb::arg("layout").none() = nb::none(),
           nb::sig("def cuda(self, layout: TensorLayout | str | None = None) -> ExternalBuffer | "
                   "list[ExternalBuffer]"),
           "Exporters of the memory that keep the image in use: (H, W), (H, W, C) or (P, H, W), or "
           "a list "
           "with one (H, W, C) for each plane where planes differ. `layout` orders the dimensions.")
      .def("cpu", &Cpu, nb::arg("layout").none() = nb::none(),
           nb::sig("def cpu(self, layout: TensorLayout | str | None = None) -> "
                   "numpy.typing.NDArray[typing.Any] | list[numpy.typing.NDArray[typing.Any]]"),
           "A copy on the host, in the shapes of cuda(); after what the current stream has.")
      .def("__repr__", [](const Image& self) {
        return "<nvcv.Image " + std::to_string(self.width()) + "x" + std::to_string(self.height()) +
               " NVCV_IMAGE_FORMAT_" + self.format().name() + ">";
      });
  module.def("as_image", &AsImage, nb::arg("buffer") = nb::list(), nb::arg("format") = Format(),
             nb::sig("def as_image(buffer: object = [], format: Format = ...) -> Image"),
             (std::string(
                  "An image on another library's memory, which it keeps, or on a list of one array "
                  "for each plane: ") +
              kBuffers + " Counts 0 bytes.")
                 .c_str());
  module.def(
      "as_tensor",
      [](nb::handle image) {
        const Image* const self = InstanceOf<Image>(image);
        if (self == nullptr) throw nb::next_overload();
        return as_tensor(*self);
      },
      nb::arg("image"), nb::sig("def as_tensor(image: Image) -> Tensor"),
      "The image's memory as a tensor, which keeps the image in use: (1, H, W, C) NHWC, or (1, P, "
      "H, W) NCHW.");
}

}  // namespace nvcv_cached::python
