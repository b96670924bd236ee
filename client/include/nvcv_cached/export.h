// NVCV_CACHED_API marks what libnvcv_cached.so exports; everything else in it is hidden.
#pragma once

#define NVCV_CACHED_API __attribute__((visibility("default")))
