// Text from outside (names, paths, the system's messages) need not be UTF-8; messages and other
// languages' strings must be. Pure function, thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace nvcv_cached::client {

// `text` with '?' for every byte that is not part of well-formed UTF-8.
std::string ToUtf8(std::string_view text);

}  // namespace nvcv_cached::client
