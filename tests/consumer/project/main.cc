// What a user writes first: the README's program, in short. Without a daemon it says so and still
// proves the link.
#include <nvcv_cached/nvcv_cached.h>

#include <cstring>
#include <iostream>

#if defined(NVCV_CACHED_VERSION) || defined(GRPC_PORT_PLATFORM_H)
#error "the public headers leak what the library is made of"
#endif
static_assert(__cplusplus >= 201703L);

namespace nc = nvcv_cached;

int main() try {
  for (int i = 0; i < 1000; ++i) {
    nc::Tensor frame({1080, 1920, 3}, nc::DataType::kU8, "HWC");
    if (frame.device().is_host()) std::memset(frame.data(), i, frame.size_bytes());
  }
  nc::Stats stats = nc::stats();
  std::cout << stats.hits << " hits, " << stats.cache_bytes << " bytes cached\n";
} catch (const nc::Unavailable& error) {
  std::cout << "unavailable: " << error.what() << "\n";
} catch (const nc::Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
