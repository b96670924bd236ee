/* NVCV_CACHED_API marks what libnvcv_cached.so exports; the rest is hidden. For C and C++. */
#ifndef NVCV_CACHED_EXPORT_H_
#define NVCV_CACHED_EXPORT_H_

#define NVCV_CACHED_API __attribute__((visibility("default")))

#endif /* NVCV_CACHED_EXPORT_H_ */
