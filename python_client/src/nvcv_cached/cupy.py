"""CuPy's memory from the daemon: cupy.cuda.set_allocator(nvcv_cached.cupy.malloc)."""

import cupy

from ._core import allocate, free


def _allocate(size_bytes: int, device: int) -> int:
    return allocate(size_bytes, device, cupy.cuda.get_current_stream(device).ptr)


def _free(pointer: int, device: int) -> None:
    free(pointer, device, cupy.cuda.get_current_stream(device).ptr)


# A function from a size to a cupy.cuda.MemoryPointer, used on CuPy's current stream. A freed array's memory is idle in
# this process's cache, so CuPy's own pool is not needed above it.
malloc = cupy.cuda.PythonFunctionAllocator(_allocate, _free).malloc
