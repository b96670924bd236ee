"""torch's memory from the daemon: torch.cuda.MemPool(nvcv_cached.torch.allocator())."""

import functools
from typing import Any

import torch

from ._core import library_path


@functools.cache
def _pluggable() -> Any:  # kept: what it allocated outlives every pool
    return torch.cuda.memory.CUDAPluggableAllocator(library_path(), "nvcv_cached_allocate", "nvcv_cached_free")


def allocator() -> Any:
    """What torch.cuda.MemPool takes; the pool caches what it got, and gives it back with its end or with
    torch.cuda.empty_cache().

    Where the daemon has no more, torch says that it is out of memory; NVCV_CACHED_LOG=info says why.
    """
    return _pluggable().allocator()
