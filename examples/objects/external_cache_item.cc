// A payload that is dear to make, kept in the cache under a key.
#include <functional>
#include <iostream>
#include <memory>
#include <vector>

#include "nvcv_cached/nvcv_cached.h"

namespace nc = nvcv_cached;

// What makes two Gauss kernels interchangeable.
class GaussKey : public nc::ExternalKey {
 public:
  explicit GaussKey(int taps) : taps_(taps) {}
  std::size_t hash() const override { return std::hash<int>()(taps_); }
  bool equals(const nc::ExternalKey& other) const override {
    const auto* same = dynamic_cast<const GaussKey*>(&other);
    return same != nullptr && same->taps_ == taps_;
  }

 private:
  int taps_;
};

nc::ExternalCacheItem Gauss(int taps) {
  return nc::ExternalCacheItem(std::make_shared<GaussKey>(taps), [taps] {
    std::vector<int> row(static_cast<std::size_t>(taps), 1);
    for (int i = 2; i < taps; ++i) {
      for (int j = i - 1; j > 0; --j)
        row[static_cast<std::size_t>(j)] += row[static_cast<std::size_t>(j - 1)];
    }
    return std::make_shared<std::vector<int>>(row);
  });
}

int main() {
  Gauss(5);  // made, and idle at once
  nc::ExternalCacheItem again = Gauss(5);
  const auto& taps = again.payload<std::vector<int>>();
  std::cout << again.was_reused() << " " << taps[1] << " " << taps[2] << "\n";  // 1 4 6
  nc::clear_cache();
  std::cout << nc::cache_size() << "\n";  // 0
}
