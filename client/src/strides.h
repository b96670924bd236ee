// NVCV's rules for memory: strides, bytes and alignment of an object of a spec on a device. Pure
// functions.
//
// With e = the type's bytes, the row alignment is lcm(device's, next power of two of e), or
// lcm(row_align, one component's bytes). The dimension left of the packed ones (W and C of layouts
// ending in "WC", else the last one) is rounded up to it; the whole to the base: the next power of
// two of lcm(device's base, row alignment). Images: image_layout.h. Sources: NVCV 0.19's observable
// behaviour; tests/client/strides_test.cc has its examples.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "client/src/lease_source.h"
#include "client/src/spec.h"

namespace nvcv_cached::client {

// What a member takes in the table of a batch: NVCV's numbers.
inline constexpr int64_t kImageBatchEntryBytes = 160;
inline constexpr int64_t kTensorBatchEntryBytes = 256;

struct Footprint {
  int64_t strides[kMaxRank] = {};  // bytes; of an image: its planes' rows
  uint64_t size_bytes = 0;         // rounded up: what a lease counts; 0 for an empty tensor
  uint64_t alignment = 1;
};

// INVALID_ARGUMENT with the numbers: unsupported type, negative extent, a layout of another rank,
// an alignment that is no power of two or too large, a size beyond 63 bits.
absl::StatusOr<Footprint> FootprintOf(const Spec& spec, const DeviceTraits& traits);

}  // namespace nvcv_cached::client
