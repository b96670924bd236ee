/// @class nvcv_cached::DataType
/// Element types of tensors: NVCV's 50, one to four components of one kind (nvcv.Type in Python).
///
/// A value type of 4 bytes: kind, bits per component, components. Alignment is a component's size.
/// Immutable, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nvcv_cached/export.h"

namespace nvcv_cached {

/// What one component is.
enum class DataKind : std::uint8_t {
  kNone,      ///< the empty type
  kUnsigned,  ///< an unsigned integer
  kSigned,    ///< a signed integer
  kFloat,     ///< IEEE 754: 16, 32 or 64 bits
  kComplex,   ///< two floats
};

class NVCV_CACHED_API DataType {
 public:
  constexpr DataType() = default;  ///< the empty type, of 0 bytes

  /// `bits` of one component, 1 to 4 `components`; is_supported() says whether NVCV has it.
  constexpr DataType(DataKind kind, int bits, int components = 1)
      : kind_(kind),
        bits_(static_cast<std::uint8_t>(bits)),
        components_(static_cast<std::uint8_t>(components)) {}

  constexpr DataKind kind() const { return kind_; }  ///< of each component
  constexpr int bits() const { return bits_; }       ///< of one component; 64 for C64 (2 x f32)
  constexpr int components() const { return components_; }                ///< 0 for the empty type
  constexpr std::int64_t component_bytes() const { return bits_ / 8; }    ///< of one
  constexpr std::int64_t alignment() const { return component_bytes(); }  ///< in bytes

  /// Of all components.
  constexpr std::int64_t size_bytes() const { return std::int64_t{bits_} / 8 * components_; }

  /// All three as one number, for hashes: kind, bits and components in 8 bits each.
  constexpr std::uint32_t packed() const {
    return static_cast<std::uint32_t>(kind_) << 16 | static_cast<std::uint32_t>(bits_) << 8 |
           components_;
  }
  bool is_supported() const;                                       ///< one of the named 50
  std::string name() const;                                        ///< "U8", "3F32"; "NONE"
  static std::optional<DataType> FromName(std::string_view name);  ///< "U8", "_3F32", "3F32"

  /// By value.
  friend constexpr bool operator==(DataType a, DataType b) { return a.packed() == b.packed(); }
  /// By value.
  friend constexpr bool operator!=(DataType a, DataType b) { return a.packed() != b.packed(); }

  /// One component of this kind (U, S, F, C) and so many bits.
  /// @{
  static const DataType kU8, kS8, kU16, kS16, kU32, kS32, kU64, kS64, kF16, kF32, kF64, kC64, kC128;
  /// @}

 private:
  DataKind kind_ = DataKind::kNone;
  std::uint8_t bits_ = 0;
  std::uint8_t components_ = 0;
};

inline constexpr DataType DataType::kU8{DataKind::kUnsigned, 8};
inline constexpr DataType DataType::kS8{DataKind::kSigned, 8};
inline constexpr DataType DataType::kU16{DataKind::kUnsigned, 16};
inline constexpr DataType DataType::kS16{DataKind::kSigned, 16};
inline constexpr DataType DataType::kU32{DataKind::kUnsigned, 32};
inline constexpr DataType DataType::kS32{DataKind::kSigned, 32};
inline constexpr DataType DataType::kU64{DataKind::kUnsigned, 64};
inline constexpr DataType DataType::kS64{DataKind::kSigned, 64};
inline constexpr DataType DataType::kF16{DataKind::kFloat, 16};
inline constexpr DataType DataType::kF32{DataKind::kFloat, 32};
inline constexpr DataType DataType::kF64{DataKind::kFloat, 64};
inline constexpr DataType DataType::kC64{DataKind::kComplex, 64};
inline constexpr DataType DataType::kC128{DataKind::kComplex, 128};

}  // namespace nvcv_cached
