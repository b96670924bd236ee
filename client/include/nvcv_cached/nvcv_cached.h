/// @namespace nvcv_cached
/// Everything: tensors, images, batches and buffers that many processes borrow from one cache.
#pragma once

#include "nvcv_cached/buffer.h"               // IWYU pragma: export
#include "nvcv_cached/cache.h"                // IWYU pragma: export
#include "nvcv_cached/color_spec.h"           // IWYU pragma: export
#include "nvcv_cached/copy.h"                 // IWYU pragma: export
#include "nvcv_cached/data_type.h"            // IWYU pragma: export
#include "nvcv_cached/device.h"               // IWYU pragma: export
#include "nvcv_cached/error.h"                // IWYU pragma: export
#include "nvcv_cached/external_cache_item.h"  // IWYU pragma: export
#include "nvcv_cached/format.h"               // IWYU pragma: export
#include "nvcv_cached/geometry.h"             // IWYU pragma: export
#include "nvcv_cached/image.h"                // IWYU pragma: export
#include "nvcv_cached/image_batch.h"          // IWYU pragma: export
#include "nvcv_cached/log.h"                  // IWYU pragma: export
#include "nvcv_cached/reserve.h"              // IWYU pragma: export
#include "nvcv_cached/resource.h"             // IWYU pragma: export
#include "nvcv_cached/stream.h"               // IWYU pragma: export
#include "nvcv_cached/tensor.h"               // IWYU pragma: export
#include "nvcv_cached/tensor_batch.h"         // IWYU pragma: export
#include "nvcv_cached/tensor_layout.h"        // IWYU pragma: export
#include "nvcv_cached/wait_hooks.h"           // IWYU pragma: export
