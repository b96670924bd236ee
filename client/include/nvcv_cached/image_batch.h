/// @class nvcv_cached::ImageBatchVarShape
/// Images of different sizes and formats that are worked on together: NVCV's ImageBatchVarShape.
///
/// It holds handles of up to `capacity` images, in order. On the device it has a table of 160 bytes
/// for each, which is what it counts (NVCV's number); the next batch of the same capacity in this
/// thread is a hit, and begins empty. A batch that nobody holds keeps no image in use. A call that
/// fails changes nothing. Thread-safety: a handle, see resource.h; changing one batch from several
/// threads needs a lock of the caller's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "nvcv_cached/export.h"
#include "nvcv_cached/format.h"
#include "nvcv_cached/geometry.h"
#include "nvcv_cached/image.h"
#include "nvcv_cached/resource.h"

namespace nvcv_cached {

class NVCV_CACHED_API ImageBatchVarShape : public Container {
 public:
  /// Throws InvalidArgument for a negative capacity, and what Buffer throws.
  explicit ImageBatchVarShape(std::int64_t capacity);

  std::int64_t capacity() const;  ///< most members

  /// Members now.
  std::int64_t size() const { return static_cast<std::int64_t>(images().size()); }
  /// Whether it has none.
  bool empty() const { return images().empty(); }

  /// Throw Error of code kOverflow when they do not fit, kUnderflow when fewer are there,
  /// InvalidArgument for a negative count.
  void push_back(const Image& image);
  /// All of them in order, or none.
  void push_back(const std::vector<Image>& images);

  /// Takes the last `count` off, or none.
  void pop_back(std::int64_t count = 1);

  void clear() noexcept;  ///< takes all off

  Size max_size() const;                        ///< of each side; 0x0 when empty
  std::optional<Format> unique_format() const;  ///< nullopt: empty, or mixed

  /// Not checked: 0 to size() - 1.
  const Image& operator[](std::int64_t index) const {
    return images()[static_cast<std::size_t>(index)];
  }

  /// The members in order; valid until the batch changes.
  /// @{
  std::vector<Image>::const_iterator begin() const { return images().begin(); }
  std::vector<Image>::const_iterator end() const { return images().end(); }
  /// @}

 private:
  const std::vector<Image>& images() const { return *images_; }
  std::shared_ptr<std::vector<Image>> images_;
};

}  // namespace nvcv_cached
