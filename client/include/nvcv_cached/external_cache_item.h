/// @class nvcv_cached::ExternalCacheItem
/// Things that are dear to make and are kept in the cache beside tensors and images: an operator's
/// payload, a plan, a table. NVCV's ExternalCacheItem.
///
/// An item is found by its key: what is idle in this thread's cache under an equal key is reused,
/// else `make` is called. It counts as an item of 0 bytes from its creation until a clear or the
/// thread's end; memory of its own it keeps in Buffers, which count and are fenced. The last handle
/// gives it back to the cache of the thread that made it, on whatever thread that happens.
/// Thread-safety: a handle, like shared_ptr; keys must be immutable.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "nvcv_cached/export.h"

namespace nvcv_cached {

/// What makes two payloads interchangeable: derive from it with the type and the arguments of the
/// payload.
class NVCV_CACHED_API ExternalKey {
 public:
  virtual ~ExternalKey();
  virtual std::size_t hash() const = 0;                     ///< equal for equal keys
  virtual bool equals(const ExternalKey& other) const = 0;  ///< also of keys of other classes
};

class NVCV_CACHED_API ExternalCacheItem {
 public:
  /// Throws what `make` throws; InvalidArgument when `key` or what is made is null.
  ExternalCacheItem(std::shared_ptr<const ExternalKey> key,
                    const std::function<std::shared_ptr<void>()>& make);

  /// What `make` returned, which must be a T: the type is not checked.
  template <class T>
  T& payload() const {
    return *static_cast<T*>(payload_.get());
  }
  const ExternalKey& key() const { return *key_; }  ///< as given; lives as long as this
  bool was_reused() const { return was_reused_; }   ///< found idle in the cache

 private:
  std::shared_ptr<const ExternalKey> key_;
  std::shared_ptr<void> payload_;  ///< its last handle gives it back
  bool was_reused_ = false;
};

}  // namespace nvcv_cached
