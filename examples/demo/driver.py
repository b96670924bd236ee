"""The CUDA driver for the demo's Python workers: kernels.cu's text, compiled by the driver and launched through ctypes.

So the demo needs no CUDA package in its Python. Work goes to the legacy default stream, which is the thread's current
one: memory that it uses may be dropped as soon as it is submitted. An error of the driver is a RuntimeError.
"""

import ctypes
import functools
from pathlib import Path

import nvcv_cached as nvcv

KERNELS = Path(__file__).with_name("kernels.inc")
THREADS = 128
LEGACY_STREAM = ctypes.c_void_p(1)  # CU_STREAM_LEGACY
OWNING_CONTEXT = 1  # CU_POINTER_ATTRIBUTE_CONTEXT


def address(tensor):
    return tensor.__cuda_array_interface__["data"][0]


class Driver:
    """One GPU's driver, with the kernels loaded; for the thread that made it."""

    def __init__(self):
        self._cuda = ctypes.CDLL("libcuda.so.1")
        # The context that the library opened its memory in; kernels on that memory belong there.
        context, module = ctypes.c_void_p(), ctypes.c_void_p()
        probe = nvcv.Tensor((1,), nvcv.Type.U8)
        self._call("cuPointerGetAttribute", ctypes.byref(context), OWNING_CONTEXT, ctypes.c_uint64(address(probe)))
        self._call("cuCtxSetCurrent", context)
        text = KERNELS.read_text().removeprefix('R"ptx(').rstrip().removesuffix(')ptx"')
        self._call("cuModuleLoadData", ctypes.byref(module), text.encode())
        self._module = module

    def launch(self, name, height, width, *arguments):
        """A thread for each of `width` elements of `height` rows; `arguments` are ctypes values."""
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(argument) for argument in arguments))
        blocks = -(-width // THREADS)
        self._call("cuLaunchKernel", self._kernel(name), blocks, height, 1, THREADS, 1, 1, 0, LEGACY_STREAM, pointers,
                   None)  # fmt: skip

    def fill(self, to, value, size):
        self._call("cuMemsetD8Async", ctypes.c_uint64(to), ctypes.c_ubyte(value), ctypes.c_size_t(size), LEGACY_STREAM)

    def copy_in(self, to, array):
        self._call(
            "cuMemcpyHtoD_v2", ctypes.c_uint64(to), ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
        )

    def copy_out(self, array, source):
        """Waits for the work submitted before."""
        self._call(
            "cuMemcpyDtoH_v2",
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_uint64(source),
            ctypes.c_size_t(array.nbytes),
        )

    @functools.cache  # noqa: B019 - one driver for the life of the process
    def _kernel(self, name):
        kernel = ctypes.c_void_p()
        self._call("cuModuleGetFunction", ctypes.byref(kernel), self._module, name.encode())
        return kernel

    def _call(self, name, *arguments):
        result = getattr(self._cuda, name)(*arguments)
        if result != 0:
            text = ctypes.c_char_p()
            self._cuda.cuGetErrorName(result, ctypes.byref(text))
            raise RuntimeError(f"{name}: {(text.value or b'?').decode()} ({result})")
