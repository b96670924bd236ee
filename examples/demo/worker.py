"""A worker of the demo in Python: does what worker.cc does, told by the same lines (they are explained there)."""

import collections
import sys

import numpy as np
import nvcv_cached as nvcv
from PIL import Image

KEPT = 8
PATTERN = 0x5A


def make(shape, dtype):
    """A cached tensor as an array; the array keeps it in use."""
    return np.asarray(nvcv.Tensor(shape, dtype, "HWC" if len(shape) == 3 else None))


def chosen_pipeline():
    if nvcv.device().kind == "host":
        from pipeline import Pipeline

        return Pipeline(make)
    from pipeline_gpu import GpuPipeline

    return GpuPipeline()


def decode(path):
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


def main():
    photos, results, kept = {}, collections.deque(maxlen=KEPT), None
    steps = chosen_pipeline()
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "photo":
            photos[words[0]] = steps.upload(decode(words[1]))
        elif verb == "frame":
            job, photo, *box = words
            results.append(steps.process(photos[photo], [int(number) for number in box]))
            print("frame", job, steps.checksum(results[-1]), flush=True)
        elif verb == "save":
            steps.download(results[-1][0]).tofile(words[1])
        elif verb == "end":
            photos.clear()
            results.clear()
            stats = nvcv.stats()
            print("end", stats["hits"], stats["misses"], flush=True)
        elif verb == "keep":
            kept = steps.filled(int(words[0]), PATTERN)
            print("kept", flush=True)
        elif verb == "check":
            print("intact" if steps.is_filled_with(kept, PATTERN) else "spoilt", flush=True)


if __name__ == "__main__":
    main()
