"""The driver's calls that the tests need, by ctypes: the same on a GPU and on the fake driver.

A `Gate` holds a stream up until the test opens it: a kernel that lasts exactly as long as wanted, without a clock.
"""

import ctypes as c
import mmap
import struct
from pathlib import Path

LEGACY, PER_THREAD = 1, 2
VERSION = 12000


class CudaError(RuntimeError):
    def __init__(self, name, code):
        super().__init__(f"{name}: error {code}")
        self.code = code


class Driver:
    """Every call by its name without `cu`; an error is an exception."""

    def __init__(self):
        self._get = c.CDLL("libcuda.so.1").cuGetProcAddress_v2
        self._known = {}
        self.Init(0)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._known:
            address, found = c.c_void_p(), c.c_int()
            symbol = f"cu{name}".encode()
            self._get(symbol, c.byref(address), VERSION, c.c_uint64(1), c.byref(found))
            if not address.value:
                raise CudaError(symbol.decode(), 500)
            function = c.CFUNCTYPE(c.c_int)(address.value)

            def call(*arguments):
                code = function(*arguments)
                if code != 0:
                    raise CudaError(f"cu{name}", code)

            self._known[name] = call
        call = self._known[name]
        return lambda *arguments: call(*(c.c_uint64(a) if isinstance(a, int) else a for a in arguments))

    def primary_context(self, ordinal=0):
        """Current on this thread from here on."""
        device, context = c.c_int(), c.c_void_p()
        self.DeviceGet(c.byref(device), ordinal)
        self.DevicePrimaryCtxRetain(c.byref(context), device.value)
        self.CtxSetCurrent(context)
        return context

    def stream(self):
        made = c.c_void_p()
        self.StreamCreate(c.byref(made), 1)
        return made.value

    def fill(self, pointer, value, nbytes, stream):
        self.MemsetD32Async(pointer, value, nbytes // 4, stream)

    def wrong_words(self, pointer, value, nbytes):
        """How many words are not `value`; waits for nothing but its own copy."""
        host = c.create_string_buffer(nbytes)
        stream = self.stream()
        self.MemcpyDtoHAsync(host, pointer, nbytes, stream)
        self.StreamSynchronize(stream)
        self.StreamDestroy(stream)
        return nbytes // 4 - host.raw.count(struct.pack("<I", value)) if _uniform(value) else _count(host.raw, value)


def _uniform(value):
    return len(set(struct.pack("<I", value))) == 4  # no overlapping matches


def _count(raw, value):
    return sum(word != value for (word,) in struct.iter_unpack("<I", raw))


class Gate:
    """A word that streams wait for, shared by its name between the test and the process under test.

    In /dev/shm: the driver registers no pages of ordinary files.
    """

    def __init__(self, name):
        self.name = name
        self._path = Path("/dev/shm") / name
        if not self._path.exists():
            self._path.write_bytes(bytes(mmap.PAGESIZE))
        with open(self._path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self._on_gpu = None

    def on_gpu(self, driver):
        """The word's address for kernels: not 0 once the gate is open."""
        if self._on_gpu is None:
            address = c.addressof(c.c_char.from_buffer(self._memory))
            driver.MemHostRegister(address, mmap.PAGESIZE, 3)
            on_gpu = c.c_uint64()
            driver.MemHostGetDevicePointer(c.byref(on_gpu), address, 0)
            self._on_gpu = on_gpu.value
        return self._on_gpu

    def hold(self, driver, stream):
        """What is submitted to the stream from here on runs once the gate is open."""
        driver.StreamWaitValue32(stream, self.on_gpu(driver), 1, 0)

    def open(self):
        self._memory[:4] = struct.pack("<I", 1)

    def remove(self):
        self._path.unlink(missing_ok=True)
