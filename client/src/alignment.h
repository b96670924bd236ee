// Arithmetic of sizes that must not overflow, and what is accepted as an alignment. Pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/src/spec.h"

namespace nvcv_cached::client {

inline constexpr uint64_t kMaxAlignment = uint64_t{2} << 20;  // what the daemon grants

// nullopt: beyond 63 bits.
std::optional<int64_t> Product(int64_t a, int64_t b);
std::optional<int64_t> RoundUp(int64_t value, uint64_t to);  // `to` is a power of two

bool IsAlignment(int64_t value);  // a power of two up to kMaxAlignment

// INVALID_ARGUMENT that says why `value` is none; `name` is the argument's.
absl::Status BadAlignment(absl::string_view name, int64_t value);
absl::Status TooLarge(const Spec& spec);

}  // namespace nvcv_cached::client
