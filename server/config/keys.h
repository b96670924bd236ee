// The keys of the daemon's settings: the one table behind flags, environment variables, the file,
// --help and --check-config.
//
// Key `slab-size` is the flag --slab-size, the variable NVCV_CACHED_SLAB_SIZE and the TOML key
// slab-size. Constant data. Thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace nvcv_cached::server {

enum class Reload : uint8_t { kNever, kUpwards, kYes };

struct Key {
  const char* name;
  const char* value;     // what kind, or which there are: for --help and completion
  const char* fallback;  // as --help says it; the real one may depend on the device and the user
  Reload reload;
  bool in_file;  // false: which file to read cannot stand in it
  const char* meaning;
};

std::span<const Key> Keys();
const Key* FindKey(std::string_view name);

std::string VariableOf(std::string_view key);  // NVCV_CACHED_SLAB_SIZE

// "; did you mean limit?", or "" when nothing is near.
std::string Suggestion(std::string_view wrong);

}  // namespace nvcv_cached::server
