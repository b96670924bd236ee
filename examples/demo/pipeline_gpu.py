"""The pipeline on a GPU: what pipeline.py says, bit by bit, by the kernels of kernels.cu, as in pipeline_gpu.cc.

Every array is a cached tensor of height x width x 3, or a flat one for sums and packed pixels.
"""

from ctypes import c_int, c_longlong, c_uint64

import numpy as np
import nvcv_cached as nvcv
from driver import Driver, address
from pipeline import CELLS, SIZES

CHANNELS = 3
WEIGHING = {"uint8": "weigh_u8", "int16": "weigh_s16", "int32": "weigh_s32"}


class Plane:
    """A tensor as the kernels take it: address and bytes of a row, rows, elements of a row."""

    def __init__(self, tensor):
        interface = tensor.__cuda_array_interface__
        self.tensor = tensor
        self.address = interface["data"][0]
        self.pitch = (
            interface["strides"][0] if interface["strides"] else tensor.shape[1] * CHANNELS * tensor.dtype.itemsize
        )
        self.height, self.width = tensor.shape[0], tensor.shape[1] * CHANNELS

    @property
    def place(self):
        return c_uint64(self.address), c_longlong(self.pitch)

    @property
    def size(self):
        return c_int(self.height), c_int(self.width)


def plane(height, columns, dtype):
    return Plane(nvcv.Tensor((height, columns, CHANNELS), dtype, "HWC"))


def flat(count, dtype):
    return nvcv.Tensor((count,), dtype)


class GpuPipeline:
    def __init__(self):
        self._driver = Driver()

    def upload(self, pixels):
        packed = flat(pixels.size, np.uint8)
        self._driver.copy_in(address(packed), np.ascontiguousarray(pixels))
        image = plane(*pixels.shape[:2], np.uint8)
        self._copy(address(packed), image.width, image.address, image.pitch, image)
        return image.tensor

    def process(self, image, box):
        y, x, height, width = box
        source, cropped = Plane(image), plane(height, width, np.uint8)
        corner = source.address + y * source.pitch + x * CHANNELS
        self._copy(corner, source.pitch, cropped.address, cropped.pitch, cropped)
        results = []
        for size in SIZES:
            blurred = self._blur(self._resize(cropped, *size))
            normal = self._normalise(blurred)
            cells = plane(CELLS, CELLS, np.int32)
            self._launch("reduce", cells, *normal.place, *cells.place, *normal.size)
            results += [blurred.tensor, normal.tensor, cells.tensor]
        return results

    def checksum(self, results):
        sums = np.zeros(len(results), np.uint64)
        on_gpu = flat(sums.size, np.uint64)
        self._driver.fill(address(on_gpu), 0, sums.nbytes)
        for number, tensor in enumerate(results):
            array = Plane(tensor)
            sum_of = c_uint64(address(on_gpu) + number * sums.itemsize)
            self._driver.launch(WEIGHING[tensor.dtype.name], 1, array.width, *array.place, sum_of, *array.size)
        self._driver.copy_out(sums, address(on_gpu))
        total = 0
        for value in sums:
            total = (total * 31 + int(value)) % (1 << 64)
        return total

    def download(self, image):
        source, packed = Plane(image), flat(image.shape[0] * image.shape[1] * CHANNELS, np.uint8)
        self._copy(source.address, source.pitch, address(packed), source.width, source)
        return self._bytes(packed).reshape(image.shape)

    def filled(self, size, value):
        tensor = flat(size, np.uint8)
        self._driver.fill(address(tensor), value, size)
        return tensor

    def is_filled_with(self, tensor, value):
        return bool((self._bytes(tensor) == value).all())

    def _bytes(self, tensor):
        array = np.empty(tensor.shape, np.uint8)
        self._driver.copy_out(array, address(tensor))
        return array

    def _launch(self, name, out, *arguments):
        self._driver.launch(name, out.height, out.width, *arguments)

    def _copy(self, source, source_pitch, target, target_pitch, size):
        places = c_uint64(source), c_longlong(source_pitch), c_uint64(target), c_longlong(target_pitch)
        self._launch("copy", size, *places, *size.size)

    def _resize(self, image, height, columns):
        rows = plane(height, image.width // CHANNELS, np.int32)
        self._launch("resize_rows", rows, *image.place, *rows.place, *rows.size, c_int(image.height))
        out = plane(height, columns, np.uint8)
        self._launch("resize_columns", out, *rows.place, *out.place, *out.size, c_int(rows.width // CHANNELS))
        return out

    def _blur(self, image):
        columns = image.width // CHANNELS
        rows, out = plane(image.height, columns, np.int32), plane(image.height, columns, np.uint8)
        self._launch("blur_rows", rows, *image.place, *rows.place, *rows.size)
        self._launch("blur_columns", out, *rows.place, *out.place, *out.size)
        return out

    def _normalise(self, image):
        sums = flat(2 * CHANNELS, np.uint64)
        self._driver.fill(address(sums), 0, 2 * CHANNELS * 8)
        for spread in (0, 1):
            self._driver.launch(
                "sums", 1, image.width, *image.place, c_uint64(address(sums)), *image.size, c_int(spread)
            )
        out = plane(image.height, image.width // CHANNELS, np.int16)
        self._launch("normalise", out, *image.place, *out.place, *out.size, c_uint64(address(sums)))
        return out
