/** @file
 * The daemon's memory for other libraries' allocator hooks, in C: torch's CUDAPluggableAllocator takes the first two
 * functions as they are (see nvcv_cached.torch in Python).
 *
 * A block is used on the stream that it was allocated for and on the one that it is freed on, as with every
 * stream-ordered allocator; freeing waits for nothing. Blocks come from the cache of the calling thread, as Buffer's.
 * Not on a stream that is capturing a graph. Thread-safety: thread-safe. */
#ifndef NVCV_CACHED_ALLOCATOR_H_
#define NVCV_CACHED_ALLOCATOR_H_

#include <stddef.h>

#include "nvcv_cached/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/** `device`: a GPU in this process's numbering (cudaGetDevice), or -1: the calling thread's device, also the host.
 * `stream`: a cudaStream_t of that GPU; on the host without meaning. Null: size 0, or a failure, which
 * nvcv_cached_last_error tells. */
NVCV_CACHED_API void* nvcv_cached_allocate(size_t size_bytes, int device, void* stream);

/** `pointer` is null or what nvcv_cached_allocate returned; `size_bytes` and `device` are not looked at. */
NVCV_CACHED_API void nvcv_cached_free(void* pointer, size_t size_bytes, int device, void* stream);

/** Why the calling thread's last nvcv_cached_allocate failed; "" when it did not. Valid until its next one. */
NVCV_CACHED_API const char* nvcv_cached_last_error(void);

#ifdef __cplusplus
}
#endif

#endif /* NVCV_CACHED_ALLOCATOR_H_ */
