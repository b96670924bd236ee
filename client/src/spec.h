// What makes two objects interchangeable, as one flat value: kind, type, layout, alignment asked
// for, extents. Two objects of the same spec have the same strides and bytes on a device; the
// thread caches find by it.
//
// Built on the stack at each request, so only `rank` of the extents are set. The fields up to the
// extents form whole words without padding: they are hashed and compared as words. Immutable once
// built. Thread-safe like any value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "nvcv_cached/data_type.h"
#include "nvcv_cached/format.h"
#include "nvcv_cached/geometry.h"
#include "nvcv_cached/tensor.h"
#include "nvcv_cached/tensor_layout.h"

namespace nvcv_cached::client {

enum class Kind : uint8_t { kBuffer = 1, kTensor, kImage, kImageBatch, kTensorBatch };

struct Spec {
  char layout[16];
  uint32_t dtype;      // DataType::packed()
  uint32_t alignment;  // tensor, image: row_align as asked, 0 for the device's; buffer: of the
                       // pointer, 0 likewise
  Kind kind;
  uint8_t rank;
  uint16_t reserved16;
  uint32_t reserved32;
  int64_t extents[kMaxRank];  // buffer: its bytes; image: width, height, format, 0; batch: capacity
  uint64_t hash;              // of all the above; never 0

  static Spec OfBuffer(uint64_t size_bytes, uint32_t alignment);
  static Spec OfTensor(const Shape& shape, DataType dtype, const TensorLayout& layout,
                       int row_align);
  static Spec OfImage(Size size, Format format, int row_align);
  static Spec OfBatch(Kind kind, int64_t capacity);

  Format format() const { return Format(static_cast<uint64_t>(extents[2])); }  // of an image
  DataType data_type() const {
    return DataType(static_cast<DataKind>(dtype >> 16), static_cast<int>(dtype >> 8 & 0xff),
                    static_cast<int>(dtype & 0xff));
  }
};
inline constexpr size_t kSpecHeadWords = offsetof(Spec, extents) / sizeof(uint64_t);
static_assert(offsetof(Spec, extents) == 32 && sizeof(Spec) == 160);

// "Tensor 1080x1920x3 u8", "Buffer 4096": for people.
std::string SpecText(const Spec& spec);

namespace internal {
inline uint64_t SpecWord(const Spec& spec, size_t i) {
  uint64_t word;
  std::memcpy(&word, reinterpret_cast<const char*>(&spec) + i * sizeof(word), sizeof(word));
  return word;
}
inline uint64_t MixWords(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
inline uint64_t HashSpec(const Spec& spec) {
  constexpr uint64_t kA = 0x9e3779b97f4a7c15, kB = 0xbf58476d1ce4e5b9, kC = 0x94d049bb133111eb;
  // The head's products do not depend on each other, so they overlap.
  uint64_t hash = MixWords(SpecWord(spec, 0) ^ kA, SpecWord(spec, 1) ^ kB) ^
                  MixWords(SpecWord(spec, 2) ^ kC, SpecWord(spec, 3) ^ kA);
  uint64_t place = kB;
  for (int i = 0; i < spec.rank; ++i) {
    hash ^= MixWords(static_cast<uint64_t>(spec.extents[i]) ^ place, hash ^ kC);
    place += kA;
  }
  return hash != 0 ? hash : 1;
}
}  // namespace internal

inline Spec Spec::OfBuffer(uint64_t size_bytes, uint32_t alignment) {
  Spec spec;
  std::memset(static_cast<void*>(&spec), 0, offsetof(Spec, extents));
  spec.alignment = alignment;
  spec.kind = Kind::kBuffer;
  spec.rank = 1;
  spec.extents[0] = static_cast<int64_t>(size_bytes);
  spec.hash = internal::HashSpec(spec);
  return spec;
}

inline Spec Spec::OfTensor(const Shape& shape, DataType dtype, const TensorLayout& layout,
                           int row_align) {
  Spec spec;
  std::memcpy(spec.layout, layout.raw().data(), sizeof(spec.layout));
  spec.dtype = dtype.packed();
  spec.alignment = static_cast<uint32_t>(row_align);
  spec.kind = Kind::kTensor;
  spec.rank = static_cast<uint8_t>(shape.rank());
  spec.reserved16 = 0;
  spec.reserved32 = 0;
  for (int i = 0; i < shape.rank(); ++i) spec.extents[i] = shape[i];
  spec.hash = internal::HashSpec(spec);
  return spec;
}

// Their strides are the planes' rows, so there are as many extents as planes at most.
inline Spec Spec::OfImage(Size size, Format format, int row_align) {
  Spec spec;
  std::memset(static_cast<void*>(&spec), 0, offsetof(Spec, extents));
  spec.alignment = static_cast<uint32_t>(row_align);
  spec.kind = Kind::kImage;
  spec.rank = kMaxPlanes;
  spec.extents[0] = size.width;
  spec.extents[1] = size.height;
  spec.extents[2] = static_cast<int64_t>(format.value());
  spec.extents[3] = 0;
  spec.hash = internal::HashSpec(spec);
  return spec;
}

inline Spec Spec::OfBatch(Kind kind, int64_t capacity) {
  Spec spec;
  std::memset(static_cast<void*>(&spec), 0, offsetof(Spec, extents));
  spec.kind = kind;
  spec.rank = 1;
  spec.extents[0] = capacity;
  spec.hash = internal::HashSpec(spec);
  return spec;
}

inline bool operator==(const Spec& a, const Spec& b) {
  if (a.hash != b.hash) return false;
  uint64_t difference = 0;
  for (size_t i = 0; i < kSpecHeadWords; ++i) {
    difference |= internal::SpecWord(a, i) ^ internal::SpecWord(b, i);
  }
  if (difference != 0) return false;  // the rank is among them
  for (int i = 0; i < a.rank; ++i) {
    if (a.extents[i] != b.extents[i]) return false;
  }
  return true;
}
inline bool operator!=(const Spec& a, const Spec& b) { return !(a == b); }

}  // namespace nvcv_cached::client
