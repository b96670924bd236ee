"""Python hits against what a user has today, in one process: one line of JSON, microseconds made and dropped.

    NVCV_CACHED_ADDRESS=... python bench/python_hits.py [REPEATS]

Every figure is the median over rounds of `loops` calls, rounds of all contenders interleaved, so that a noisy
moment of the machine meets them all.
"""

import json
import statistics
import sys
import time
from multiprocessing import shared_memory

import numpy as np
import nvcv_cached as nvcv
from on_threads import wall_per_call

SHAPE = (1000, 1000, 3)
NBYTES = 12_000_000


def tensor(loops):
    for _ in range(loops):
        nvcv.Tensor(SHAPE, np.float32, "HWC")


def numpy_empty(loops):
    for _ in range(loops):
        np.empty(SHAPE, np.float32)


def shm(loops):
    for _ in range(loops):
        block = shared_memory.SharedMemory(create=True, size=NBYTES)
        block.close()
        block.unlink()


def floor(loops):
    for _ in range(loops):
        object()


# Made and dropped, a hit of each class that the cache holds.
CLASSES = {
    "Image": lambda: nvcv.Image((640, 480), nvcv.Format.NV12),
    "ImageBatchVarShape": lambda: nvcv.ImageBatchVarShape(16),
    "TensorBatch": lambda: nvcv.TensorBatch(16),
    "Stream": nvcv.Stream,
    "ExternalCacheItem": lambda: nvcv.ExternalCacheItem("bench", list),
}


def hits_of(make):
    def loop(loops):
        for _ in range(loops):
            make()

    return loop


IMAGES = 1000


def batch_of_images(loops, images=[]):  # noqa: B006 - made once
    if not images:
        images.extend(nvcv.Image((64, 64), nvcv.Format.RGB8) for _ in range(IMAGES))
    for _ in range(loops):
        nvcv.ImageBatchVarShape(IMAGES).pushback(images)


SHAPES = np.random.default_rng(1).integers(1000, 2001, (4096, 2)).tolist()


def random_shapes(loops, numbers=SHAPES):
    for i in range(loops):
        h, w = numbers[i & 4095]
        nvcv.Tensor((h, w, 3), np.float32, "HWC")


def timed(function, loops):
    start = time.perf_counter()
    function(loops)
    return (time.perf_counter() - start) / loops * 1e6


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    contenders = {
        "tensor_hit": (tensor, 20_000),
        "numpy_empty": (numpy_empty, 5_000),
        "shared_memory": (shm, 100),
        "object": (floor, 50_000),
        "batch_of_images": (batch_of_images, 20),
    } | {f"{name}_hit": (hits_of(make), 20_000) for name, make in CLASSES.items()}
    samples = {name: [] for name in contenders}
    for function, _ in contenders.values():
        function(100)
    for _ in range(rounds):
        for name, (function, loops) in contenders.items():
            samples[name].append(timed(function, loops))
    result = {name: statistics.median(values) for name, values in samples.items()}

    random_shapes(4096)
    result["random_shapes"] = statistics.median(timed(random_shapes, 10_000) for _ in range(rounds))
    for count in (1, 2, 4, 16):
        result[f"tensor_hit_{count}_threads"] = statistics.median(
            wall_per_call(tensor, count, 20_000) for _ in range(3)
        )

    others = [nvcv.Tensor((i + 1, 64), np.uint8, "HW") for i in range(1000)]
    del others
    result["tensor_hit_among_1000"] = statistics.median(timed(tensor, 20_000) for _ in range(rounds))
    result["batch_of_images"] /= IMAGES
    idle = [nvcv.Image((i + 1, 64), nvcv.Format.U8) for i in range(1000)]
    del idle
    for name, make in CLASSES.items():
        loop = hits_of(make)
        result[f"{name}_hit_among_1000"] = statistics.median(timed(loop, 20_000) for _ in range(rounds))
    print(json.dumps({name: round(value, 4) for name, value in result.items()}))


if __name__ == "__main__":
    main()
