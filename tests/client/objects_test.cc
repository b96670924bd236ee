// Images, batches, wrappers and views over a daemon in this process.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/src/local_items.h"
#include "nvcv_cached/buffer.h"
#include "nvcv_cached/error.h"
#include "nvcv_cached/image.h"
#include "nvcv_cached/image_batch.h"
#include "nvcv_cached/tensor.h"
#include "nvcv_cached/tensor_batch.h"
#include "tests/client/fake_source.h"

namespace nvcv_cached::client {
namespace {

class ObjectsTest : public testing::Test {
 protected:
  ~ObjectsTest() override { ClearLocalItems(Scope::kProcess); }
  FakeSource& daemon_ = FakeSource::Install();
};

char* Bytes(void* data) { return static_cast<char*>(data); }

TEST_F(ObjectsTest, AnImageIsReusedByTheSameSpecWithItsId) {
  std::uint64_t id;
  void* memory;
  {
    Image image({258, 232}, Format::kNV12);
    EXPECT_EQ(image.cache_bytes(), 100864u);
    EXPECT_EQ(daemon_.Books().bytes, 100864u);
    EXPECT_EQ(Bytes(image.plane(1).data) - Bytes(image.plane(0).data), 288 * 232);
    EXPECT_EQ(image.plane(1).size, (Size{129, 116}));
    id = image.id();
    memory = image.plane(0).data;
  }
  Image again({258, 232}, Format::kNV12);
  EXPECT_EQ(again.id(), id);
  EXPECT_EQ(again.plane(0).data, memory);
  EXPECT_NE(Image({258, 232}, Format::kNV24).id(), id);
}

TEST_F(ObjectsTest, FormatsAreStrangersAndMemoryIsShared) {
  { Image rgb({100, 100}, Format::kRGB8); }
  Image bgr({100, 100}, Format::kBGR8);
  EXPECT_EQ(bgr.format(), Format::kBGR8);
  EXPECT_EQ(daemon_.acquires(), 1);  // by size: a new object on old memory
  EXPECT_EQ(daemon_.hits().size_class, 1u);
}

TEST_F(ObjectsTest, TheCountIsOfTheGrantWhenASmallerObjectReusesIt) {
  { Buffer large(10240); }
  Tensor small({9700}, DataType::kU8);
  EXPECT_EQ(daemon_.acquires(), 1);
  EXPECT_EQ(small.size_bytes(), 9728u);
  EXPECT_EQ(small.cache_bytes(), 10240u);
}

TEST_F(ObjectsTest, AReshapeKeepsItsParentInUseAndCountsNothing) {
  auto parent = std::make_unique<Tensor>(Shape{10, 10, 3}, DataType::kU8, "HWC");
  Tensor reshaped = parent->reshape({1, 10, 10, 3}, "NHWC");
  EXPECT_EQ(reshaped.data(), parent->data());
  EXPECT_NE(reshaped.id(), parent->id());
  EXPECT_EQ(reshaped.cache_bytes(), 0u);
  EXPECT_TRUE(reshaped.is_wrapped());
  EXPECT_EQ(CountLocalItems(Scope::kThread), 1);
  parent.reset();
  EXPECT_EQ(daemon_.Books().in_use, 1);
  Tensor further = reshaped.reshape({10, 30}, {});
  reshaped = further;
  EXPECT_EQ(daemon_.Books().in_use, 1);
  EXPECT_EQ(CountLocalItems(Scope::kThread), 2);  // the second reshape keeps the first
  reshaped = Tensor({1}, DataType::kU8);
  further = reshaped;
  EXPECT_EQ(CountLocalItems(Scope::kThread), 0);
  EXPECT_EQ(daemon_.Books().idle, 1);
}

TEST_F(ObjectsTest, AReshapeIsChecked) {
  Tensor tensor({10, 10, 3}, DataType::kU8, "HWC");
  EXPECT_THROW(tensor.reshape({1, 10, 10, 3}), InvalidArgument);  // keeps HWC, of rank 3
  EXPECT_THROW(tensor.reshape({300}, {}), InvalidArgument);
  EXPECT_TRUE(tensor.reshape({1, 10, 10, 3}, {}).layout().empty());
}

TEST_F(ObjectsTest, AWrapperKeepsItsOwnerAndCountsNothing) {
  auto memory = std::make_shared<std::vector<char>>(32 * 10);
  std::weak_ptr<std::vector<char>> alive = memory;
  {
    Tensor wrapper =
        Tensor::Wrap(memory->data(), {10, 10, 3}, DataType::kU8, "HWC", {32, 3, 1}, {memory});
    EXPECT_EQ(wrapper.data(), memory->data());
    memory.reset();
    EXPECT_FALSE(alive.expired());
    EXPECT_EQ(CountLocalItems(Scope::kProcess), 1);
    EXPECT_EQ(wrapper.cache_bytes(), 0u);
  }
  EXPECT_TRUE(alive.expired());  // not kept until another object comes: nothing pins it
  EXPECT_EQ(CountLocalItems(Scope::kProcess), 0);
  EXPECT_EQ(daemon_.acquires(), 0);
}

TEST_F(ObjectsTest, AWrappersStridesAreChecked) {
  char memory[4096];
  const auto wrap = [&](const Shape& shape, const TensorLayout& layout,
                        const std::vector<std::int64_t>& strides) {
    return Tensor::Wrap(memory, shape, DataType::kU8, layout, strides, {});
  };
  EXPECT_EQ(wrap({4, 10}, {}, {}).stride_bytes(0), 10);
  EXPECT_EQ(wrap({4, 10}, "HW", {32, 1}).stride_bytes(0), 32);
  EXPECT_THROW(wrap({4, 10}, {}, {32, 1}), InvalidArgument);           // padded, no layout
  EXPECT_THROW(wrap({4, 10, 3}, "HWC", {64, 4, 1}), InvalidArgument);  // padded pixels
  EXPECT_THROW(wrap({4, 10}, "HW", {1, 4}), InvalidArgument);          // transposed
  EXPECT_THROW(wrap({4, 10}, "HW", {-32, 1}), InvalidArgument);        // upside down
  EXPECT_THROW(wrap({4, 10}, "HW", {8, 1}), InvalidArgument);          // rows overlap
  EXPECT_THROW(wrap({4, 0}, "HW", {}), InvalidArgument);
  EXPECT_THROW(wrap({4, 10}, "HWC", {}), InvalidArgument);
  EXPECT_THROW(Tensor::Wrap(nullptr, {4}, DataType::kU8, {}, {}, {}), InvalidArgument);
  EXPECT_NO_THROW(wrap({1, 10}, {}, {4096, 1}));  // an extent of 1 goes nowhere
}

TEST_F(ObjectsTest, AWrappedImageHasItsPlanesWhereTheyAre) {
  std::vector<char> luma(8 * 6), chroma(8 * 3);
  const DataType one = DataType::kU8, two(DataKind::kUnsigned, 8, 2);
  const std::vector<ImagePlane> planes = {{luma.data(), {7, 5}, 8, one},
                                          {chroma.data(), {4, 3}, 8, two}};
  Image image = Image::Wrap(Format::kNV12, planes, {});
  EXPECT_EQ(image.plane(1).data, chroma.data());
  EXPECT_EQ(image.size(), (Size{7, 5}));
  EXPECT_EQ(image.views().size(), 2u);
  EXPECT_THROW(Image::Wrap(Format::kRGB8, planes, {}), InvalidArgument);
  EXPECT_THROW(Image::Wrap(Format::kNV24, planes, {}), InvalidArgument);
  EXPECT_THROW(Image::Wrap(Format::kNV12_BL, planes, {}), InvalidArgument);
}

TEST_F(ObjectsTest, ImagesAreSeenAsTensors) {
  Image packed({100, 50}, Format::kRGB8);
  const Tensor nhwc = as_tensor(packed);
  EXPECT_EQ(nhwc.shape(), (Shape{1, 50, 100, 3}));
  EXPECT_EQ(nhwc.layout(), TensorLayout("NHWC"));
  EXPECT_EQ(nhwc.stride_bytes(1), 384);
  Image planar({100, 50}, Format::kRGB8p);
  const Tensor nchw = as_tensor(planar);
  EXPECT_EQ(nchw.shape(), (Shape{1, 3, 50, 100}));
  EXPECT_EQ(nchw.stride_bytes(1), 128 * 50);
  EXPECT_EQ(as_tensor(Image({5, 4}, Format::kF32)).shape(), (Shape{1, 1, 4, 5}));
  EXPECT_THROW(as_tensor(Image({8, 8}, Format::kNV12)), NotImplemented);
  EXPECT_THROW(as_tensor(Image({8, 8}, Format::kYUYV)), NotImplemented);
}

TEST_F(ObjectsTest, ViewsFollowNvcvsExport) {
  const auto shapes = [](const Image& image, const TensorLayout& layout = {}) {
    std::vector<std::string> texts;
    for (const Tensor& view : image.views(layout)) texts.push_back(view.shape().str());
    return texts;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(shapes(Image({5, 4}, Format::kU8)), Texts{"(4, 5)"});
  EXPECT_EQ(shapes(Image({5, 4}, Format::kRGB8)), Texts{"(4, 5, 3)"});
  EXPECT_EQ(shapes(Image({5, 4}, Format::kRGB8p)), Texts{"(3, 4, 5)"});
  EXPECT_EQ(shapes(Image({5, 4}, Format::kUYVY)), Texts{"(4, 5, 2)"});
  EXPECT_EQ(shapes(Image({6, 4}, Format::kNV12)), (Texts{"(4, 6, 1)", "(2, 3, 2)"}));
  EXPECT_EQ(shapes(Image({5, 4}, Format::kRGB8), "NHWC"), Texts{"(1, 4, 5, 3)"});
  EXPECT_EQ(shapes(Image({5, 4}, Format::kU8), "CHW"), Texts{"(1, 4, 5)"});
  EXPECT_EQ(shapes(Image({5, 4}, Format::kU8), "HWC"), Texts{"(4, 5, 1)"});
  EXPECT_THROW(shapes(Image({5, 4}, Format::kRGB8), "CHW"), InvalidArgument);
  EXPECT_THROW(shapes(Image({5, 4}, Format::kRGB8), "HW"), InvalidArgument);
  EXPECT_THROW(shapes(Image({5, 4}, Format::kU8), "ABC"), InvalidArgument);
  EXPECT_EQ(CountLocalItems(Scope::kProcess), 0);  // an export is no item
}

TEST_F(ObjectsTest, TensorsOfImagesHaveTheirFormatsLayout) {
  const Tensor packed(2, {37, 7}, Format::kRGB8, 1);
  EXPECT_EQ(packed.shape(), (Shape{2, 7, 37, 3}));
  EXPECT_EQ(packed.layout(), TensorLayout("NHWC"));
  EXPECT_EQ(packed.stride_bytes(1), 111);
  EXPECT_EQ(Tensor(2, {5, 4}, Format::kRGBAf32p).shape(), (Shape{2, 4, 4, 5}));
  EXPECT_EQ(Tensor(2, {5, 4}, Format::kRGBAf32p).layout(), TensorLayout("NCHW"));
  EXPECT_EQ(Tensor(0, {5, 4}, Format::kU8).data(), nullptr);
  EXPECT_THROW(Tensor(1, {8, 8}, Format::kNV12), NotImplemented);
  EXPECT_THROW(Tensor(1, {8, 8}, Format::kU8_BL), NotImplemented);
  EXPECT_THROW(Tensor(1, {8, 8}, Format::kNV24), InvalidArgument);
  EXPECT_THROW(Tensor(1, {8, 8}, Format::kNONE), InvalidArgument);
  EXPECT_THROW(Tensor(-1, {8, 8}, Format::kU8), InvalidArgument);
}

TEST_F(ObjectsTest, AnImageBatchHoldsItsImages) {
  ImageBatchVarShape batch(3);
  EXPECT_EQ(batch.cache_bytes(), 480u);
  EXPECT_EQ(batch.max_size(), (Size{0, 0}));
  EXPECT_FALSE(batch.unique_format());
  const Image wide({9, 2}, Format::kU8), high({2, 9}, Format::kU8);
  batch.push_back(wide);
  batch.push_back(std::vector<Image>{high, wide});
  EXPECT_EQ(batch.size(), 3);
  EXPECT_EQ(batch.max_size(), (Size{9, 9}));
  EXPECT_EQ(batch.unique_format(), Format::kU8);
  EXPECT_EQ(batch[1].id(), high.id());
  EXPECT_THROW(batch.push_back(wide), Overflow);
  EXPECT_THROW(batch.pop_back(4), Underflow);
  EXPECT_THROW(batch.pop_back(-1), InvalidArgument);
  EXPECT_EQ(batch.size(), 3);
  batch.pop_back(2);
  batch.push_back(Image({1, 1}, Format::kS8));
  EXPECT_FALSE(batch.unique_format());
  EXPECT_THROW(ImageBatchVarShape(-1), InvalidArgument);
  EXPECT_THROW(ImageBatchVarShape(0).push_back(wide), Overflow);
}

TEST_F(ObjectsTest, AnIdleBatchIsReusedEmptyAndKeepsNothingInUse) {
  std::uint64_t id;
  {
    ImageBatchVarShape batch(16);
    id = batch.id();
    batch.push_back(Image({64, 64}, Format::kRGB8));
    EXPECT_EQ(daemon_.Books().in_use, 2);
  }
  EXPECT_EQ(daemon_.Books().in_use, 0);
  ImageBatchVarShape again(16);
  EXPECT_EQ(again.id(), id);
  EXPECT_TRUE(again.empty());
}

TEST_F(ObjectsTest, ATensorBatchIsOfOneKind) {
  TensorBatch batch(4);
  EXPECT_EQ(batch.cache_bytes(), 1024u);
  EXPECT_EQ(batch.rank(), -1);
  const Tensor first({2, 3}, DataType::kU8, "HW"), second({9, 8}, DataType::kU8, "HW");
  batch.push_back({first, second});
  EXPECT_EQ(batch.rank(), 2);
  EXPECT_EQ(batch.dtype(), DataType::kU8);
  EXPECT_EQ(batch.layout(), TensorLayout("HW"));
  EXPECT_THROW(batch.push_back(Tensor({2}, DataType::kU8)), InvalidArgument);
  EXPECT_THROW(batch.push_back(Tensor({2, 3}, DataType::kS8, "HW")), InvalidArgument);
  EXPECT_THROW(batch.push_back(Tensor({2, 3}, DataType::kU8, "NW")), InvalidArgument);
  EXPECT_THROW(batch.push_back({first, Tensor({2}, DataType::kU8)}), InvalidArgument);
  EXPECT_EQ(batch.size(), 2);
  batch.set(0, second);
  EXPECT_EQ(batch.at(0).id(), second.id());
  EXPECT_THROW(batch.at(2), InvalidArgument);
  EXPECT_THROW(batch.set(-1, first), InvalidArgument);
  EXPECT_THROW(batch.set(0, Tensor({2}, DataType::kU8)), InvalidArgument);
  EXPECT_THROW(batch.pop_back(3), Underflow);
  EXPECT_THROW(batch.push_back({first, first, first}), Overflow);
  batch.pop_back();
  EXPECT_THROW(batch.set(0, Tensor({2}, DataType::kU8)), InvalidArgument);
  batch.clear();
  batch.push_back(Tensor({2}, DataType::kS8));  // typeless again
  EXPECT_EQ(batch.rank(), 1);
}

TEST_F(ObjectsTest, HandlesAreValues) {
  Image image({4, 4}, Format::kU8);
  Image copy = image;
  EXPECT_EQ(copy.id(), image.id());
  Image moved = std::move(copy);
  EXPECT_FALSE(copy);  // NOLINT: a moved-from handle is empty
  image = image;
  EXPECT_EQ(moved.id(), image.id());
  copy = moved;
  EXPECT_EQ(copy.id(), image.id());
  image = Image({5, 5}, Format::kU8);
  moved = image;
  copy = image;
  EXPECT_EQ(daemon_.Books().in_use, 1);
}

}  // namespace
}  // namespace nvcv_cached::client
