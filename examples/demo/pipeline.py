"""The demo's pipeline in integers, so that NumPy, C++ (pipeline.h) and a GPU's kernels (kernels.cu) agree bit by bit.

`Pipeline(make)` computes with NumPy; `make(shape, dtype)` gives it the arrays that it writes: cached tensors in a
worker, plain arrays in the check. crop -> resize to three sizes -> blur -> normalise -> reduce.
"""

import numpy as np

SIZES = [(384, 512), (192, 256), (96, 128)]  # height, width; multiples of 8
CELLS = 8  # a reduction is CELLS x CELLS sums
WEIGHT = 0x9E3779B97F4A7C15  # odd, so that no element's weight vanishes


class Pipeline:
    def __init__(self, make):
        self._make = make
        count = SIZES[0][0] * SIZES[0][1] * 3
        self._weights = (2 * np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(WEIGHT)

    def upload(self, pixels):
        image = self._make(pixels.shape, np.uint8)
        image[...] = pixels
        return image

    def process(self, image, box):
        """All results of one frame: for each size the blurred image, the normalised one, the reduction."""
        cropped = self._crop(image, box)
        results = []
        for size in SIZES:
            blurred = self._blur(self._resize(cropped, size))
            normal = self._normalise(blurred)
            results += [blurred, normal, self._reduce(normal)]
        return results

    def checksum(self, results):
        """Of every element with its place, modulo 2 to the 64."""
        total = 0
        for array in results:
            values = np.ascontiguousarray(array).reshape(-1).astype(np.int64).view(np.uint64)
            total = (total * 31 + int((values * self._weights[: values.size]).sum(dtype=np.uint64))) % (1 << 64)
        return total

    def download(self, image):
        return np.ascontiguousarray(image)

    def filled(self, size, value):
        array = self._make((size,), np.uint8)
        array[...] = value
        return array

    def is_filled_with(self, array, value):
        return bool((array == value).all())

    def _crop(self, image, box):
        y, x, height, width = box
        out = self._make((height, width, 3), np.uint8)
        np.copyto(out, image[y : y + height, x : x + width])
        return out

    def _taps(self, source, target):
        """Of each target pixel: its two source pixels, and the second one's weight of 256."""
        position = ((2 * np.arange(target) + 1) * source * 256) // (2 * target) - 128
        position = np.clip(position, 0, (source - 1) * 256)
        first = position >> 8
        return first, np.minimum(first + 1, source - 1), (position & 255).astype(np.int32)

    def _resize(self, image, size):
        """Bilinear; weights in 256ths, rounded once at the end."""
        height, width = size
        top, bottom, down = self._taps(image.shape[0], height)
        left, right, across = self._taps(image.shape[1], width)
        pixels = self._make((height, image.shape[1], 3), np.uint8)
        rows = self._make(pixels.shape, np.int32)
        part = self._make(pixels.shape, np.int32)
        self._take(image, top, 0, pixels)
        np.multiply(pixels, (256 - down)[:, None, None], out=rows)
        self._take(image, bottom, 0, pixels)
        np.multiply(pixels, down[:, None, None], out=part)
        rows += part
        total = self._make((height, width, 3), np.int32)
        other = self._make(total.shape, np.int32)
        self._take(rows, left, 1, total)
        total *= (256 - across)[None, :, None]
        self._take(rows, right, 1, other)
        other *= across[None, :, None]
        total += other
        total += 32768
        total >>= 16
        out = self._make(total.shape, np.uint8)
        np.copyto(out, total, casting="unsafe")
        return out

    def _blur(self, image):
        """Binomial 5 x 5, borders repeated."""
        height, width, _ = image.shape
        bordered = self._make((height + 4, width + 4, 3), np.int32)
        bordered[2:-2, 2:-2] = image
        bordered[:2, 2:-2] = image[:1]
        bordered[-2:, 2:-2] = image[-1:]
        bordered[:, :2] = bordered[:, 2:3]
        bordered[:, -2:] = bordered[:, -3:-2]
        rows = self._make((height, width + 4, 3), np.int32)
        self._five_taps([bordered[k : k + height] for k in range(5)], rows)
        total = self._make((height, width, 3), np.int32)
        self._five_taps([rows[:, k : k + width] for k in range(5)], total)
        total += 128
        total >>= 8
        out = self._make(total.shape, np.uint8)
        np.copyto(out, total, casting="unsafe")
        return out

    def _five_taps(self, shifted, out):
        """out := 1 4 6 4 1 of five shifted views."""
        np.add(shifted[1], shifted[3], out=out)
        out += shifted[2]
        out *= 4
        out += shifted[0]
        out += shifted[4]
        out += shifted[2]
        out += shifted[2]

    def _normalise(self, image):
        """Each channel less its mean, over its mean deviation, in 256ths; whole numbers all the way."""
        count = image.shape[0] * image.shape[1]
        mean = (image.sum(axis=(0, 1), dtype=np.int64) + count // 2) // count
        wide = self._make(image.shape, np.int32)
        np.subtract(image, mean.astype(np.int32), out=wide)
        deviation = np.maximum(np.abs(wide).sum(axis=(0, 1), dtype=np.int64) // count, 1)
        wide *= (65536 // deviation).astype(np.int32)
        wide >>= 8
        np.clip(wide, -32768, 32767, out=wide)
        out = self._make(image.shape, np.int16)
        np.copyto(out, wide, casting="unsafe")
        return out

    def _reduce(self, image):
        height, width, _ = image.shape
        out = self._make((CELLS, CELLS, 3), np.int32)
        cells = image.reshape(CELLS, height // CELLS, CELLS, width // CELLS, 3)
        np.sum(cells, axis=(1, 3), dtype=np.int32, out=out)
        return out

    def _take(self, array, indices, axis, out):
        """Of indices that are in range; NumPy's check of them would need a buffer."""
        np.take(array, indices, axis=axis, out=out, mode="clip")
