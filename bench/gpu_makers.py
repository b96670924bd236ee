"""What a Python program on a GPU has today, behind one call each, and a GPU that is kept busy: for the gpu_ scripts.

A maker takes a shape and a NumPy dtype and gives an object that holds as much of the GPU's memory until it is dropped.
What is not installed is left out, with a line on stderr.
"""

import ctypes
import sys

from daemon import ROOT

sys.path.append(str(ROOT / "tests" / "gpu" / "python"))

from cuda_calls import LEGACY, CudaError, Driver

SPIN_MS = 20


def ours():
    import nvcv_cached as nvcv

    return lambda shape, dtype: nvcv.Tensor(shape, dtype, "HWC")


def torch():
    import torch

    kinds = {"f": torch.float32, "B": torch.uint8}
    torch.empty(1, device="cuda")
    return lambda shape, dtype: torch.empty(shape, dtype=kinds[dtype.char], device="cuda")


def cupy():
    import cupy

    cupy.empty(1)
    return cupy.empty


def cvcuda():
    import cvcuda

    return lambda shape, dtype: cvcuda.Tensor(shape, dtype, "HWC")


def rmm_pool():
    import rmm

    # Unless told otherwise it takes half of the GPU at once.
    pool = rmm.mr.PoolMemoryResource(rmm.mr.CudaMemoryResource(), initial_pool_size=256 << 20)
    rmm.mr.set_current_device_resource(pool)
    return lambda shape, dtype: rmm.DeviceBuffer(size=shape[0] * shape[1] * shape[2] * dtype.itemsize)


class Raw:
    """Memory of the driver's, by ctypes: a microsecond or two of each call is Python's."""

    def __init__(self, driver, take, give):
        self.pointer, self._driver, self._give = ctypes.c_uint64(), driver, give
        take(ctypes.byref(self.pointer))

    def __del__(self):
        self._give(self.pointer)


def cuda_malloc():
    driver = started()
    return lambda shape, dtype: Raw(
        driver, lambda at: driver.MemAlloc(at, shape[0] * shape[1] * shape[2] * dtype.itemsize), driver.MemFree
    )


def cuda_malloc_async():
    driver = started()
    return lambda shape, dtype: Raw(
        driver,
        lambda at: driver.MemAllocAsync(at, shape[0] * shape[1] * shape[2] * dtype.itemsize, LEGACY),
        lambda at: driver.MemFreeAsync(at, LEGACY),
    )


MAKERS = {
    "ours": ours,
    "torch.empty": torch,
    "cupy.empty": cupy,
    "cvcuda.Tensor": cvcuda,
    "RMM's pool": rmm_pool,
    "cudaMallocAsync": cuda_malloc_async,
    "cudaMalloc": cuda_malloc,
}


def maker(name):
    """None where it is not installed."""
    try:
        return MAKERS[name]()
    except Exception as error:
        print(f"no {name}: {error}", file=sys.stderr)
        return None


def exported(made):
    return made.__cuda_array_interface__["data"][0]


# Where it lies, by the quickest way that each offers; from here on it is handed out.
POINTERS = {
    "ours": exported,
    "torch.empty": lambda made: made.data_ptr(),
    "cupy.empty": lambda made: made.data.ptr,
    "cvcuda.Tensor": lambda made: exported(made.cuda()),
    "RMM's pool": lambda made: made.ptr,
    "cudaMallocAsync": lambda made: made.pointer.value,
    "cudaMalloc": lambda made: made.pointer.value,
}


def started():
    """The driver, with the primary context current on this thread."""
    driver = Driver()
    driver.primary_context()
    return driver


def used_bytes(driver):
    """What the whole GPU has in use."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    driver.MemGetInfo(ctypes.byref(free), ctypes.byref(total))
    return total.value - free.value


class Busy:
    """Keeps a stream of its own occupied: a kernel of 20 ms runs and another one waits whenever `top_up` was called
    within the last 20 ms. No thread, which would take turns with the one under measurement."""

    def __init__(self):
        self._driver = started()
        self._stream = self._driver.stream()
        text = (ROOT / "bench" / "spin.inc").read_text().split("ptx(")[1].split(")ptx")[0]
        module, self._kernel = ctypes.c_void_p(), ctypes.c_void_p()
        self._driver.ModuleLoadData(ctypes.byref(module), text.encode())
        self._driver.ModuleGetFunction(ctypes.byref(self._kernel), module, b"spin")
        self._duration = ctypes.c_uint64(SPIN_MS * 1_000_000)
        self._arguments = (ctypes.c_void_p * 1)(ctypes.addressof(self._duration))
        self._ends = []

    def top_up(self, ahead=2):
        self._ends = [event for event in self._ends if not self._over(event)]
        while len(self._ends) < ahead:
            self._driver.LaunchKernel(self._kernel, 1, 1, 1, 1, 1, 1, 0, self._stream, self._arguments, 0)
            event = ctypes.c_void_p()
            self._driver.EventCreate(ctypes.byref(event), 2)
            self._driver.EventRecord(event, self._stream)
            self._ends.append(event)

    def _over(self, event):
        try:
            self._driver.EventQuery(event)
        except CudaError:
            return False
        self._driver.EventDestroy(event)
        return True

    def wait(self):
        self._driver.StreamSynchronize(self._stream)
