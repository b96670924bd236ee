// The pipeline on a GPU: kernels of kernels.cu, launched through the driver on the legacy default
// stream, which is this thread's current one: so the memory that they use may be released as soon
// as they are submitted.
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

#include "pipeline.h"
#include "proto/cuda_driver.h"

namespace demo {
namespace {

constexpr char kKernels[] =
#include "kernels.inc"
    ;
constexpr unsigned kThreads = 128;

const nc::CudaDriver& Driver() {
  static const nc::CudaDriver& driver = []() -> const nc::CudaDriver& {
    auto loaded = nc::CudaDriver::Load();
    if (!loaded.ok()) throw std::runtime_error(std::string(loaded.status().message()));
    return **loaded;
  }();
  return driver;
}

void Check(CUresult result, const char* what) {
  const absl::Status status = Driver().Check(result, what);
  if (!status.ok()) throw std::runtime_error(std::string(status.message()));
}

CUdeviceptr At(const void* pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

// A tensor as the kernels take it: address, bytes of a row, rows, elements of a row.
struct Plane {
  Plane(int rows, int columns, nc::DataType type)
      : Plane(nc::Tensor({rows, columns, kChannels}, type, "HWC")) {}
  explicit Plane(const nc::Tensor& existing)
      : tensor(existing),
        pointer(At(tensor.data())),
        pitch(tensor.stride_bytes(0)),
        height(static_cast<int>(tensor.shape()[0])),
        width(static_cast<int>(tensor.shape()[1]) * kChannels) {}

  nc::Tensor tensor;
  CUdeviceptr pointer;
  long long pitch;
  int height, width;
};

class GpuPipeline final : public Pipeline {
 public:
  GpuPipeline() {
    // The context that the library opened its memory in; kernels on that memory belong there.
    const nc::Buffer probe(1);
    CUcontext context = nullptr;
    Check(Driver().PointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, At(probe.data())),
          "cuPointerGetAttribute");
    Check(Driver().CtxSetCurrent(context), "cuCtxSetCurrent");
    Check(Driver().ModuleLoadData(&module_, kKernels), "cuModuleLoadData");
  }

  nc::Tensor Upload(const Pixels& pixels) override {
    const nc::Buffer packed(pixels.bytes.size());
    Check(Driver().MemcpyHtoD(At(packed.data()), pixels.bytes.data(), pixels.bytes.size()),
          "cuMemcpyHtoD");
    Plane image(pixels.height, pixels.width, nc::DataType::kU8);
    Copy(At(packed.data()), image.width, image.pointer, image.pitch, image.height, image.width);
    return image.tensor;
  }

  std::vector<nc::Tensor> Process(const nc::Tensor& photo, const Box& box) override {
    const Plane image(photo);
    const Plane cropped(box.height, box.width, nc::DataType::kU8);
    Copy(image.pointer + box.y * image.pitch + box.x * kChannels, image.pitch, cropped.pointer,
         cropped.pitch, cropped.height, cropped.width);
    std::vector<nc::Tensor> results;
    for (auto [height, width] : kSizes) {
      const Plane blurred = Blur(Resize(cropped, height, width));
      const Plane normal = Normalise(blurred);
      const Plane cells(kCells, kCells, nc::DataType::kS32);
      Launch("reduce", cells, normal.pointer, normal.pitch, cells.pointer, cells.pitch,
             normal.height, normal.width);
      results.insert(results.end(), {blurred.tensor, normal.tensor, cells.tensor});
    }
    return results;
  }

  std::uint64_t Checksum(const std::vector<nc::Tensor>& results) override {
    std::vector<std::uint64_t> sums(results.size());
    const nc::Buffer on_gpu(sums.size() * sizeof(std::uint64_t));
    Fill(on_gpu, 0);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const Plane plane(results[i]);
      const char* name = plane.tensor.dtype() == nc::DataType::kU8    ? "weigh_u8"
                         : plane.tensor.dtype() == nc::DataType::kS16 ? "weigh_s16"
                                                                      : "weigh_s32";
      Launch(name, 1, plane.width, plane.pointer, plane.pitch,
             At(on_gpu.data()) + i * sizeof(std::uint64_t), plane.height, plane.width);
    }
    Check(Driver().MemcpyDtoH(sums.data(), At(on_gpu.data()), on_gpu.size_bytes()), "cuMemcpyDtoH");
    std::uint64_t total = 0;
    for (std::uint64_t sum : sums) total = total * 31 + sum;
    return total;
  }

  Pixels Download(const nc::Tensor& tensor) override {
    const Plane image(tensor);
    const nc::Buffer packed(std::size_t{1} * image.height * image.width);
    Copy(image.pointer, image.pitch, At(packed.data()), image.width, image.height, image.width);
    return {image.height, image.width / kChannels, Bytes(packed)};
  }

  void Fill(const nc::Buffer& buffer, std::uint8_t value) override {
    Check(Driver().MemsetD8Async(At(buffer.data()), value, buffer.size_bytes(), CU_STREAM_LEGACY),
          "cuMemsetD8Async");
  }

  bool IsFilledWith(const nc::Buffer& buffer, std::uint8_t value) override {
    return Bytes(buffer) == std::vector<std::uint8_t>(buffer.size_bytes(), value);
  }

 private:
  static std::vector<std::uint8_t> Bytes(const nc::Buffer& buffer) {
    std::vector<std::uint8_t> bytes(buffer.size_bytes());
    Check(Driver().MemcpyDtoH(bytes.data(), At(buffer.data()), bytes.size()), "cuMemcpyDtoH");
    return bytes;
  }

  // A thread for each element of `height` rows.
  template <class... Arguments>
  void Launch(const char* name, int height, int width, Arguments... arguments) {
    CUfunction kernel = nullptr;
    Check(Driver().ModuleGetFunction(&kernel, module_, name), name);
    void* pointers[] = {&arguments...};
    const unsigned blocks = (static_cast<unsigned>(width) + kThreads - 1) / kThreads;
    Check(Driver().LaunchKernel(kernel, blocks, static_cast<unsigned>(height), 1, kThreads, 1, 1, 0,
                                CU_STREAM_LEGACY, pointers, nullptr),
          name);
  }
  template <class... Arguments>
  void Launch(const char* name, const Plane& out, Arguments... arguments) {
    Launch(name, out.height, out.width, arguments...);
  }

  void Copy(CUdeviceptr from, long long from_pitch, CUdeviceptr to, long long to_pitch, int height,
            int width) {
    Launch("copy", height, width, from, from_pitch, to, to_pitch, height, width);
  }

  Plane Resize(const Plane& image, int height, int width) {
    const Plane rows(height, image.width / kChannels, nc::DataType::kS32);
    Launch("resize_rows", rows, image.pointer, image.pitch, rows.pointer, rows.pitch, rows.height,
           rows.width, image.height);
    Plane out(height, width, nc::DataType::kU8);
    Launch("resize_columns", out, rows.pointer, rows.pitch, out.pointer, out.pitch, out.height,
           out.width, rows.width / kChannels);
    return out;
  }

  Plane Blur(const Plane& image) {
    const int columns = image.width / kChannels;
    const Plane rows(image.height, columns, nc::DataType::kS32);
    Launch("blur_rows", rows, image.pointer, image.pitch, rows.pointer, rows.pitch, rows.height,
           rows.width);
    Plane out(image.height, columns, nc::DataType::kU8);
    Launch("blur_columns", out, rows.pointer, rows.pitch, out.pointer, out.pitch, out.height,
           out.width);
    return out;
  }

  Plane Normalise(const Plane& image) {
    const nc::Buffer sums(2 * kChannels * sizeof(std::uint64_t));
    Fill(sums, 0);
    for (int spread : {0, 1}) {
      Launch("sums", 1, image.width, image.pointer, image.pitch, At(sums.data()), image.height,
             image.width, spread);
    }
    Plane out(image.height, image.width / kChannels, nc::DataType::kS16);
    Launch("normalise", out, image.pointer, image.pitch, out.pointer, out.pitch, out.height,
           out.width, At(sums.data()));
    return out;
  }

  CUmodule module_ = nullptr;
};

}  // namespace

std::unique_ptr<Pipeline> OnGpu() { return std::make_unique<GpuPipeline>(); }

}  // namespace demo
