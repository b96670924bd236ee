// NVCV 0.19's rules for the memory of images. Pure functions.
//
// The row alignment is the next power of two of lcm(device's, bytes per pixel of every plane), or
// of lcm(row_align, one component's bytes). Planes follow each other without gaps, each of its rows
// times its height, so that only the first is aligned to the base, lcm(device's base, row
// alignment). Bytes: each plane rounded up to the base. tests/client/image_layout_test.cc has
// NVCV's examples.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "client/src/strides.h"

namespace nvcv_cached::client {

// The strides are the planes' rows. INVALID_ARGUMENT: a format without memory (NONE, block linear,
// unnamed), a negative size, an alignment that is no power of two, a size beyond 63 bits.
absl::StatusOr<Footprint> ImageFootprint(const Spec& spec, const DeviceTraits& traits);

// Where plane `plane` of an owned image begins, in bytes.
int64_t PlaneOffset(const Spec& spec, const int64_t* row_strides, int plane);

}  // namespace nvcv_cached::client
