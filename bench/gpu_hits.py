"""What an object on the GPU costs in Python, ours beside its peers, in one process; one line of JSON, microseconds.

    NVCV_CACHED_ADDRESS=... python bench/gpu_hits.py

Every figure is the median over rounds of calls that make and drop; the rounds of all contenders are interleaved, so
that a noisy moment of the machine meets them all. `object` is what Python itself takes for an object: a machine that is
slower today shows there. `busy` is the same while the GPU runs kernels of 20 ms. `over` are single calls of random
shapes, each used on a stream, over a limit of 256 MiB while the GPU is busy.
"""

import json
import random
import statistics
import sys
import time

import numpy as np
from gpu_makers import LEGACY, POINTERS, Busy, maker, started
from on_threads import wall_per_call

SHAPE = (1000, 1000, 3)
KIND = np.dtype("f4")
LIMIT = 256 << 20
ROUNDS, CALLS, ROUND_US = 25, 500, 5000
PEERS = ("torch.empty", "cupy.empty", "cvcuda.Tensor", "RMM's pool")


def contenders():
    import nvcv_cached as nvcv

    def handed_out(shape, dtype):
        return nvcv.Tensor(shape, dtype, "HWC").__cuda_array_interface__

    found = {"ours": maker("ours"), "ours, handed out": handed_out}
    found |= {name: make for name in PEERS if (make := maker(name))}
    return found | {"object": lambda shape, dtype: object()}


def timed(make, shapes, repeats=1):
    begin = time.perf_counter()
    for _ in range(repeats):
        for shape in shapes:
            make(shape, KIND)
    return (time.perf_counter() - begin) / len(shapes) / repeats * 1e6


def medians(makers, shapes, busy=None):
    samples = {name: [] for name in makers}
    # So often that a round lasts 5 ms: after another contender's turn the first calls find cold caches.
    timed_once = {name: min(timed(make, shapes) for _ in range(3)) * len(shapes) for name, make in makers.items()}
    repeats = {name: max(1, round(ROUND_US / us)) for name, us in timed_once.items()}
    for _ in range(ROUNDS):
        for name, make in makers.items():
            if busy:
                busy.top_up()
            samples[name].append(timed(make, shapes, repeats[name]))
    if busy:
        busy.wait()
    return {name: statistics.median(times) for name, times in samples.items()}


def among(name, make, specs=1000):
    """A hit of one spec among as many idle ones in the same cache."""
    for side in range(specs):
        make((side + 1, 64, 1), np.dtype("u1"))
    rounds = 5 if name == "ours" else 3
    return statistics.median(timed(make, [SHAPE] * CALLS) for _ in range(rounds))


def without_a_cache(name, make, calls=100):
    """At a limit of 0: each of ours is a miss that the pool serves, each of CV-CUDA's goes to the driver."""
    module = __import__("nvcv_cached" if name == "ours" else "cvcuda")
    before = module.get_cache_limit_inbytes()
    module.set_cache_limit_inbytes(0)
    us = statistics.median(timed(make, [SHAPE] * calls) for _ in range(5))
    module.set_cache_limit_inbytes(before)
    return us


def over_the_limit(name, make, busy, shapes):
    """p50, p99 and the worst of single calls, on the default stream: the current one of who says nothing."""
    module = __import__("nvcv_cached" if name == "ours" else "cvcuda")
    before = module.get_cache_limit_inbytes()
    module.set_cache_limit_inbytes(LIMIT)
    driver, pointer = started(), POINTERS[name]

    def call(shape):
        busy.top_up()
        begin = time.perf_counter()
        made = make(shape, KIND)
        driver.MemsetD8Async(pointer(made), 1, 1 << 16, LEGACY)
        del made
        return (time.perf_counter() - begin) * 1e6

    for shape in shapes * 4:  # until the pool has what the trace needs
        call(shape)
    times = sorted(call(shape) for shape in shapes)
    busy.wait()
    module.set_cache_limit_inbytes(before)
    return {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100], "max": times[-1]}


def classes():
    """The other classes' hits, ours and CV-CUDA's: an image, the batches with room for 16, a stream."""
    found = {}
    for name in ("nvcv_cached", "cvcuda"):
        try:
            module = __import__(name)
        except ImportError as error:
            print(f"no {name}: {error}", file=sys.stderr)
            continue
        found[name] = {
            "Image": lambda *_, module=module: module.Image((1000, 1000), module.Format.RGB8),
            "ImageBatchVarShape": lambda *_, module=module: module.ImageBatchVarShape(16),
            "TensorBatch": lambda *_, module=module: module.TensorBatch(16),
            "Stream": lambda *_, module=module: module.Stream(),
        }
    return {
        kind: medians({name: makers[kind] for name, makers in found.items()}, [SHAPE] * CALLS)
        for kind in found["nvcv_cached"]
    }


def main():
    chance = random.Random(42)
    shapes = [(chance.randint(1000, 2000), chance.randint(1000, 2000), 3) for _ in range(CALLS)]
    makers = contenders()
    result = {"one_shape": medians(makers, [SHAPE] * CALLS), "random": medians(makers, shapes)}
    result["classes"] = classes()
    try:
        busy = Busy()
    except Exception as error:
        print(f"this driver runs no kernels: {error}", file=sys.stderr)
        busy = None
    if busy:
        result["busy"] = medians(makers, [SHAPE] * CALLS, busy)
    result["threads_16"] = {
        name: wall_per_call(lambda calls, make=make: timed(make, [SHAPE] * calls), 16, 3000)
        for name, make in makers.items()
        if name != "object"
    }
    searched = [name for name in ("ours", "cvcuda.Tensor") if name in makers]
    result["misses"] = {name: without_a_cache(name, makers[name]) for name in searched}
    if busy:
        result["over"] = {name: over_the_limit(name, makers[name], busy, shapes) for name in searched}
    result["among_1000"] = {name: among(name, makers[name]) for name in searched}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
