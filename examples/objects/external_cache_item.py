"""A payload that is dear to make, kept in the cache under a key."""

import nvcv_cached as nvcv


def plan():
    return {"taps": [1, 4, 6, 4, 1]}


first = nvcv.ExternalCacheItem(("gauss", 5), plan)
del first  # idle now
again = nvcv.ExternalCacheItem(("gauss", 5), plan)
print(again.was_reused, again.payload["taps"])  # True [1, 4, 6, 4, 1]
nvcv.clear_cache()
print(nvcv.cache_size())  # 0
