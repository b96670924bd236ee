"""Four processes that need the GPU's memory one after the other, each with the cache that it is told: one line of JSON.

    python bench/gpu_bursty.py MAKER [GIB]          live bytes of each burst, 4 GiB unless told otherwise

In each turn one process holds random images of as many bytes, writes them, and drops them. What the GPU has in use is
read in the middle of each turn, contexts and our daemon's memory included, over what was in use before.
"""

import json
import os
import random
import subprocess
import sys
import time

import numpy as np
from daemon import Daemon
from gpu_makers import LEGACY, POINTERS, maker, started, used_bytes

PROCESSES, TURNS = 4, 12
KIND = np.dtype("u1")


def work(name, seed, total):
    """A process of the four: told "burst" and "drop" in turn."""
    chance, make, driver, pointer = random.Random(seed), maker(name), started(), POINTERS[name]

    def image(shape):
        made = make(shape, KIND)
        driver.MemsetD8Async(pointer(made), 1, shape[0] * shape[1] * shape[2], LEGACY)
        return made

    image((8, 8, 3))
    driver.StreamSynchronize(LEGACY)
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        held, bytes_held = [], 0
        while bytes_held < total:
            shape = (chance.randint(480, 2160), chance.randint(640, 3840), 3)
            held.append(image(shape))
            bytes_held += shape[0] * shape[1] * 3
        driver.StreamSynchronize(LEGACY)
        print(time.perf_counter() - begin, flush=True)
        sys.stdin.readline()
        held.clear()
        print("dropped", flush=True)


def play(name, environment, driver, live, before):
    """Peak bytes over `before`, and the median time of a burst."""
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, "work", name, str(number), str(live)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(PROCESSES)
    ]

    def answer(worker):
        line = worker.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of {name} ended: {worker.wait()}")
        return line

    try:
        for worker in workers:
            answer(worker)
        peak, times = 0, []
        for turn in range(TURNS):
            worker = workers[turn % PROCESSES]
            worker.stdin.write("burst\n")
            worker.stdin.flush()
            times.append(float(answer(worker)))
            peak = max(peak, used_bytes(driver) - before)
            worker.stdin.write("drop\n")
            worker.stdin.flush()
            answer(worker)
            time.sleep(0.11)  # between bursts: longer than what the daemon keeps for its owner
        return {"peak_bytes": peak, "burst_s": sorted(times)[len(times) // 2]}
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def main():
    if sys.argv[1] == "work":
        return work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    name = sys.argv[1]
    live = int(float(sys.argv[2]) * (1 << 30)) if len(sys.argv) > 2 else 4 << 30
    driver = started()
    before = used_bytes(driver)
    if name == "ours":
        with Daemon(device="cuda:0") as daemon:
            result = play(name, daemon.environment(), driver, live, before)
    else:
        result = play(name, dict(os.environ), driver, live, before) if maker(name) else None
    print(json.dumps(result))
    return None


if __name__ == "__main__":
    main()
