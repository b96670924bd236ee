/// @class nvcv_cached::TensorLayout
/// The labels of a tensor's dimensions, such as "NHWC": up to 15 characters, compared by value.
/// 16 bytes, zero padded. Immutable, thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "nvcv_cached/export.h"

namespace nvcv_cached {

inline constexpr int kMaxRank = 15;  ///< of tensors and layouts, as in NVCV

class NVCV_CACHED_API TensorLayout {
 public:
  constexpr TensorLayout() = default;  ///< no layout
  // NOLINTBEGIN(google-explicit-constructor): any string converts, as in NVCV
  /// Throws InvalidArgument: more than 15 labels.
  /// @{
  TensorLayout(std::string_view labels);
  TensorLayout(const char* labels) : TensorLayout(std::string_view(labels)) {}
  TensorLayout(const std::string& labels) : TensorLayout(std::string_view(labels)) {}
  /// @}
  // NOLINTEND(google-explicit-constructor)
  int rank() const { return static_cast<int>(view().size()); }                ///< number of labels
  bool empty() const { return labels_[0] == 0; }                              ///< no layout
  std::string_view view() const { return std::string_view(labels_.data()); }  ///< "NHWC"
  std::string str() const { return std::string(view()); }                     ///< a copy
  const std::array<char, 16>& raw() const { return labels_; }                 ///< zero padded

  /// By value.
  friend bool operator==(const TensorLayout& a, const TensorLayout& b) {
    return a.labels_ == b.labels_;
  }

  /// By value.
  friend bool operator!=(const TensorLayout& a, const TensorLayout& b) { return !(a == b); }

 private:
  std::array<char, 16> labels_{};
};

}  // namespace nvcv_cached
