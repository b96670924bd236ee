"""Four processes that need the GPU's memory one after the other: ours in one daemon, and torch's cache in each.

    bursty.py [GIB]          each burst's live bytes, 4 unless told otherwise; JSON on stdout

In each turn one process holds random images of as many bytes, writes them, and drops them. What the GPU has in use is
read in the middle of each turn, contexts and the daemon's included, over what was in use before the first process.
"""

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from gpu_daemon import Place

PROCESSES, TURNS = 4, 12
WORKER = """
import random, sys, time
chance = random.Random(int(sys.argv[2]))
total = int(sys.argv[3])
if sys.argv[1] == "ours":
    import ctypes
    import nvcv_cached as nvcv
    get = ctypes.CDLL("libcuda.so.1").cuGetProcAddress_v2
    address, found = ctypes.c_void_p(), ctypes.c_int()
    get(b"cuMemsetD8Async", ctypes.byref(address), 12000, ctypes.c_uint64(1), ctypes.byref(found))
    fill = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64, ctypes.c_ubyte, ctypes.c_size_t, ctypes.c_void_p)(address.value)
    stream = nvcv.Stream()
    def make(shape):
        with stream:
            image = nvcv.Tensor(shape, "u1", "HWC")
            pointer = image.__cuda_array_interface__["data"][0]
        fill(pointer, 1, shape[0] * shape[1] * shape[2], stream.handle)
        return image
    finish = stream.sync
else:
    import torch
    def make(shape):
        image = torch.empty(shape, dtype=torch.uint8, device="cuda")
        image.fill_(1)
        return image
    finish = torch.cuda.synchronize
make((8, 8, 3))
finish()
print("ready", flush=True)
for line in sys.stdin:
    begin = time.perf_counter()
    held, bytes_held = [], 0
    while bytes_held < total:
        shape = (chance.randint(480, 2160), chance.randint(640, 3840), 3)
        held.append(make(shape))
        bytes_held += shape[0] * shape[1] * 3
    finish()
    print(time.perf_counter() - begin, flush=True)
    sys.stdin.readline()
    held.clear()
    print("dropped", flush=True)
"""


class Gpu:
    """What the GPU has in use, by a context of this process's own."""

    def __init__(self):
        get = ctypes.CDLL("libcuda.so.1").cuGetProcAddress_v2

        def call(name, *arguments):
            address, found = ctypes.c_void_p(), ctypes.c_int()
            get(name, ctypes.byref(address), 12000, ctypes.c_uint64(1), ctypes.byref(found))
            code = ctypes.CFUNCTYPE(ctypes.c_int)(address.value)(*arguments)
            if code != 0:
                raise RuntimeError(f"{name.decode()}: error {code}")

        self.call = call
        context = ctypes.c_void_p()
        call(b"cuInit", 0)
        call(b"cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        call(b"cuCtxSetCurrent", context)

    def used(self):
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call(b"cuMemGetInfo", ctypes.byref(free), ctypes.byref(total))
        return total.value - free.value


def play(kind, environment, gpu, live, before):
    """Peak bytes over `before`, and the median time of a burst."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, kind, str(number), str(live)],
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
            raise RuntimeError(f"a process of {kind} ended: {worker.wait()}")
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
            peak = max(peak, gpu.used() - before)
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
    live = int(float(sys.argv[1]) * (1 << 30)) if len(sys.argv) > 1 else 4 << 30
    place = Place()
    try:
        os.environ.update(place.environment())
        gpu = Gpu()
        before = gpu.used()
        daemon = place.start("--device=cuda:0")
        environment = {**daemon.environment, "NVCV_CACHED_ADDRESS": str(daemon.socket), "NVCV_CACHED_AUTOSTART": "0"}
        environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
        result = {"live_bytes": live, "ours": play("ours", environment, gpu, live, before)}
        daemon.terminate()
        if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode == 0:
            result["torch"] = play("torch", environment, gpu, live, gpu.used())
            ratio = result["ours"]["peak_bytes"] / result["torch"]["peak_bytes"]
            result["budgets"] = [
                {
                    "what": "peak of four bursty processes against torch",
                    "ratio": ratio,
                    "budget": 0.5,
                    "met": ratio <= 0.5,
                }
            ]
    finally:
        place.close()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
