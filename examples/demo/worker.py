"""A worker of the demo in Python: does what worker.cc does, told by the same lines (they are explained there)."""

import collections
import sys

import numpy as np
import nvcv_cached as nvcv
import pipeline
from PIL import Image

KEPT = 8
PATTERN = 0x5A

if nvcv.device().kind == "host":
    xp = np
    view, to_host = np.asarray, np.asarray
else:
    import cupy as xp

    view, to_host = xp.from_dlpack, xp.asnumpy


def make(shape, dtype):
    """A cached tensor; the view keeps it in use."""
    return view(nvcv.Tensor(shape, dtype, "HWC"))


def decode(path):
    with Image.open(path) as file:
        pixels = np.asarray(file.convert("RGB"))
    image = make(pixels.shape, np.uint8)
    image[...] = xp.asarray(pixels)
    return image


def main():
    photos, results, kept = {}, collections.deque(maxlen=KEPT), None
    steps = pipeline.Pipeline(xp, make)
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "photo":
            photos[words[0]] = decode(words[1])
        elif verb == "frame":
            job, photo, *box = words
            results.append(steps.process(photos[photo], [int(number) for number in box]))
            print("frame", job, steps.checksum(results[-1]), flush=True)
        elif verb == "save":
            np.ascontiguousarray(to_host(results[-1][0])).tofile(words[1])
        elif verb == "end":
            photos.clear()
            results.clear()
            stats = nvcv.stats()
            print("end", stats["hits"], stats["misses"], flush=True)
        elif verb == "keep":
            kept = view(nvcv.Tensor((int(words[0]),), np.uint8))
            kept[...] = PATTERN
            print("kept", flush=True)
        elif verb == "check":
            print("intact" if (kept == PATTERN).all() else "spoilt", flush=True)


if __name__ == "__main__":
    main()
