// Everything: tensors and buffers that many processes borrow from one cache.
#pragma once

#include "nvcv_cached/buffer.h"         // IWYU pragma: export
#include "nvcv_cached/cache.h"          // IWYU pragma: export
#include "nvcv_cached/data_type.h"      // IWYU pragma: export
#include "nvcv_cached/device.h"         // IWYU pragma: export
#include "nvcv_cached/error.h"          // IWYU pragma: export
#include "nvcv_cached/log.h"            // IWYU pragma: export
#include "nvcv_cached/stream.h"         // IWYU pragma: export
#include "nvcv_cached/tensor.h"         // IWYU pragma: export
#include "nvcv_cached/tensor_layout.h"  // IWYU pragma: export
#include "nvcv_cached/wait_hooks.h"     // IWYU pragma: export
