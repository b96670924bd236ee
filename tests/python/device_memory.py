"""Memory of the device that this run's objects are on: the host's, or (NVCV_CACHED_TEST_DEVICE) a GPU's."""

import ctypes
import os
import sys
from pathlib import Path

import numpy as np

DEVICE = os.environ.get("NVCV_CACHED_TEST_DEVICE", "host")
ON_GPU = DEVICE != "host"
HOST_ONLY = "the test looks into the host's memory"


def driver():
    """With the primary context current on this thread."""
    if not hasattr(driver, "made"):
        sys.path.insert(0, str(Path(__file__).parents[1] / "gpu" / "python"))
        from cuda_calls import Driver

        driver.made = Driver()
    driver.made.primary_context()
    return driver.made


class OnGpu:
    """A copy of a NumPy array in a GPU's memory of its own, laid out the same."""

    def __init__(self, array):
        low, high = np.lib.array_utils.byte_bounds(array)
        self._size = high - low
        base = ctypes.c_uint64()
        driver().MemAlloc(ctypes.byref(base), max(self._size, 1))
        self._base = base.value
        if self._size:
            driver().MemcpyHtoD(self._base, ctypes.c_void_p(low), self._size)
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": array.shape,
            "strides": array.strides,
            "typestr": array.dtype.str,
            "data": (self._base + array.ctypes.data - low, False),
        }

    def __del__(self):
        driver().MemFree(self._base)


def there(array):
    """What a wrapper takes: the array, or each of a list of them, in the device's memory."""
    if isinstance(array, list):
        return [there(each) for each in array]
    return OnGpu(array) if ON_GPU and isinstance(array, np.ndarray) else array


def _of(view):
    interface = view.__cuda_array_interface__
    pointer, shape, dtype = interface["data"][0], interface["shape"], np.dtype(interface["typestr"])
    strides = interface["strides"]
    if strides is None:
        strides = np.empty(shape, dtype).strides
    span = sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True)) + dtype.itemsize
    raw = np.empty(span, np.uint8)
    driver().MemcpyDtoH(ctypes.c_void_p(raw.ctypes.data), pointer, span)
    return pointer, raw, np.ndarray(shape, dtype, raw.data, strides=strides)


def contents(view):
    """What is in it: on the host a view, on a GPU a copy."""
    return _of(view)[2] if ON_GPU else np.asarray(view)


def fill(view, values, index=...):
    if not ON_GPU:
        np.asarray(view)[index] = values
        return
    pointer, raw, array = _of(view)
    array[index] = values
    driver().MemcpyHtoD(pointer, ctypes.c_void_p(raw.ctypes.data), raw.nbytes)


def address(view):
    return view.__cuda_array_interface__["data"][0] if ON_GPU else np.asarray(view).ctypes.data
