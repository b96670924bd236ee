"""One point of the frontier on a GPU: one allocator on the random image trace. One line of JSON.

    python bench/gpu_frontier.py MAKER IMAGES SEED

A window of 32 live images between 480x640 and 2160x3840; each step drops a random one, makes a new one and writes its
beginning on a stream. Time of a step is that of drop, make and submission; the first quarter warms every allocator up.
What is held is what the whole GPU has in use over what it had before the allocator's first call, read between the
steps.
"""

import json
import random
import sys
import time

import numpy as np
from gpu_makers import LEGACY, POINTERS, maker, started, used_bytes

WINDOW, KIND = 32, np.dtype("u1")
COMMON = ((480, 640), (720, 1280), (1080, 1920), (2160, 3840))
WRITTEN = 1 << 16


def trace(images, seed):
    """(place in the window, shape) of each step; the host's trace in kind (bench/trace.h)."""
    chance = random.Random(seed)
    for step in range(images):
        place = step if step < WINDOW else chance.randrange(WINDOW)
        if chance.randrange(16) == 0:
            height, width = chance.choice(COMMON)
        else:
            height, width = chance.randint(480, 2160), chance.randint(640, 3840)
        yield place, (height, width, 3)


def peak_live(images, seed):
    sizes, peak = [0] * WINDOW, 0
    for place, (height, width, channels) in trace(images, seed):
        sizes[place] = height * width * channels
        peak = max(peak, sum(sizes))
    return peak


def main():
    name, images, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    driver = started()
    before, peak, times = used_bytes(driver), 0, []
    make, pointer = maker(name), POINTERS[name]
    if make is None:
        print(json.dumps(None))
        return
    live = [None] * WINDOW
    for step, (place, shape) in enumerate(trace(images, seed)):
        begin = time.perf_counter()
        live[place] = None
        made = live[place] = make(shape, KIND)
        driver.MemsetD8Async(pointer(made), 1, WRITTEN, LEGACY)
        times.append(time.perf_counter() - begin)
        if step % 16 == 0:
            peak = max(peak, used_bytes(driver) - before)
    counted = times[images // 4 :]
    result = {"allocator": name, "us_per_image": sum(counted) / len(counted) * 1e6, "held": peak}
    print(json.dumps(result | {"p99_us": sorted(counted)[len(counted) * 99 // 100] * 1e6}))


if __name__ == "__main__":
    main()
