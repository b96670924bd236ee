// DLPack's C structures, as its specification lays them down (versions 0 and 1.0). Plain data.
#pragma once

#include <cstdint>

namespace nvcv_cached::python::dlpack {

inline constexpr std::int32_t kCpu = 1;
inline constexpr std::int32_t kCuda = 2;
inline constexpr std::int32_t kCudaHost = 3;
inline constexpr std::int32_t kCudaManaged = 13;
inline constexpr std::uint64_t kIsReadOnly = 1;  // flags of Versioned
inline constexpr std::uint64_t kIsCopied = 2;

enum TypeCode : std::uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kComplex = 5 };

struct Device {
  std::int32_t type;
  std::int32_t id;
};

struct ElementType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct Array {
  void* data;
  Device device;
  std::int32_t ndim;
  ElementType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements
  std::uint64_t byte_offset;
};

struct Unversioned {
  Array array;
  void* context;
  void (*deleter)(Unversioned* self);
};

struct Version {
  std::uint32_t major;
  std::uint32_t minor;
};

struct Versioned {
  Version version;
  void* context;
  void (*deleter)(Versioned* self);
  std::uint64_t flags;
  Array array;
};

}  // namespace nvcv_cached::python::dlpack
