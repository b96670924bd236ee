// A slab's bytes as letters: # in use, + idle, ~ draining, ! quarantined, . free. A letter stands
// for the state that fills most of its range. Pure function.
#pragma once

#include <cstddef>
#include <string>

#include "nvcv_cached/v1/admin.pb.h"

namespace nvcv_cached::cli {

std::string SlabMap(const v1::SlabInfo& slab, size_t cells);

}  // namespace nvcv_cached::cli
