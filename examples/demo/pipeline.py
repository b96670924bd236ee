"""The demo's pipeline in integers, so that NumPy and C++ (pipeline.cc) agree bit by bit.

Every kernel takes `make(shape, dtype)`, which gives it the arrays that it writes: cached tensors in a worker, plain
arrays in the check. crop -> resize to three sizes -> blur -> normalise -> reduce.
"""

import numpy as np

SIZES = [(384, 512), (192, 256), (96, 128)]  # height, width; multiples of 8
CELLS = 8  # a reduction is CELLS x CELLS sums
WEIGHT = 0x9E3779B97F4A7C15  # odd, so that no element's weight vanishes


def crop(image, box, make):
    y, x, height, width = box
    out = make((height, width, 3), np.uint8)
    np.copyto(out, image[y : y + height, x : x + width])
    return out


def taps(source, target):
    """Of each target pixel: its two source pixels, and the second one's weight of 256."""
    position = ((2 * np.arange(target) + 1) * source * 256) // (2 * target) - 128
    position = np.clip(position, 0, (source - 1) * 256)
    first = position >> 8
    return first, np.minimum(first + 1, source - 1), (position & 255).astype(np.int32)


def resize(image, size, make):
    """Bilinear; weights in 256ths, rounded once at the end."""
    height, width = size
    top, bottom, down = taps(image.shape[0], height)
    left, right, across = taps(image.shape[1], width)
    pixels = make((height, image.shape[1], 3), np.uint8)
    rows = make(pixels.shape, np.int32)
    part = make(pixels.shape, np.int32)
    np.take(image, top, axis=0, out=pixels, mode="clip")
    np.multiply(pixels, (256 - down)[:, None, None], out=rows)
    np.take(image, bottom, axis=0, out=pixels, mode="clip")
    np.multiply(pixels, down[:, None, None], out=part)
    rows += part
    total = make((height, width, 3), np.int32)
    other = make(total.shape, np.int32)
    np.take(rows, left, axis=1, out=total, mode="clip")
    total *= (256 - across)[None, :, None]
    np.take(rows, right, axis=1, out=other, mode="clip")
    other *= across[None, :, None]
    total += other
    total += 32768
    total >>= 16
    out = make(total.shape, np.uint8)
    np.copyto(out, total, casting="unsafe")
    return out


def blur(image, make):
    """Binomial 5 x 5, borders repeated."""
    height, width, _ = image.shape
    bordered = make((height + 4, width + 4, 3), np.int32)
    bordered[2:-2, 2:-2] = image
    bordered[:2, 2:-2] = image[:1]
    bordered[-2:, 2:-2] = image[-1:]
    bordered[:, :2] = bordered[:, 2:3]
    bordered[:, -2:] = bordered[:, -3:-2]
    rows = make((height, width + 4, 3), np.int32)
    five_taps([bordered[k : k + height] for k in range(5)], rows)
    total = make((height, width, 3), np.int32)
    five_taps([rows[:, k : k + width] for k in range(5)], total)
    total += 128
    total >>= 8
    out = make(total.shape, np.uint8)
    np.copyto(out, total, casting="unsafe")
    return out


def five_taps(shifted, out):
    """out := 1 4 6 4 1 of five shifted views."""
    np.add(shifted[1], shifted[3], out=out)
    out += shifted[2]
    out *= 4
    out += shifted[0]
    out += shifted[4]
    out += shifted[2]
    out += shifted[2]


def normalise(image, make):
    """Each channel less its mean, over its mean deviation, in 256ths; whole numbers all the way."""
    count = image.shape[0] * image.shape[1]
    mean = (image.sum(axis=(0, 1), dtype=np.int64) + count // 2) // count
    wide = make(image.shape, np.int32)
    np.subtract(image, mean.astype(np.int32), out=wide)
    deviation = np.maximum(np.abs(wide).sum(axis=(0, 1), dtype=np.int64) // count, 1)
    wide *= (65536 // deviation).astype(np.int32)
    wide >>= 8
    np.clip(wide, -32768, 32767, out=wide)
    out = make(image.shape, np.int16)
    np.copyto(out, wide, casting="unsafe")
    return out


def reduce(image, make):
    height, width, _ = image.shape
    out = make((CELLS, CELLS, 3), np.int32)
    cells = image.reshape(CELLS, height // CELLS, CELLS, width // CELLS, 3)
    np.sum(cells, axis=(1, 3), dtype=np.int32, out=out)
    return out


def process(image, box, make):
    """All results of one frame: for each size the blurred image, the normalised one, the reduction."""
    cropped = crop(image, box, make)
    results = []
    for size in SIZES:
        blurred = blur(resize(cropped, size, make), make)
        normal = normalise(blurred, make)
        results += [blurred, normal, reduce(normal, make)]
    return results


def checksum(results):
    """Of every element with its place, modulo 2 to the 64."""
    total = 0
    for array in results:
        values = np.ascontiguousarray(array).reshape(-1).astype(np.int64).view(np.uint64)
        total = (total * 31 + int(np.dot(values, weights()[: values.size]))) % (1 << 64)
    return total


def weights(made=[]):  # noqa: B006 - made once
    if not made:
        count = SIZES[0][0] * SIZES[0][1] * 3
        made.append((2 * np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(WEIGHT))
    return made[0]
