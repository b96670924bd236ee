"""What an object costs in Python, ours beside torch, CuPy and CV-CUDA, in one process and one run; JSON on stdout.

Make and drop of a (1000, 1000, 3) float32, of random shapes between 1000 and 2000, and of one shape on 16 threads; then
the first object of a new process, in which everything is new: connection, table, slab. What is not installed is left out.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from gpu_daemon import Place

SHAPE = (1000, 1000, 3)
ROUNDS, CALLS = 30, 1000
FIRST = """
import time
begin = time.perf_counter()
import nvcv_cached as nvcv
imported = time.perf_counter()
nvcv.Tensor((1000, 1000, 3), "f4", "HWC")
made = time.perf_counter()
nvcv.Tensor((1000, 1000, 3), "f4", "HWC")
print(imported - begin, made - imported, time.perf_counter() - made)
"""


def makers():
    """name -> make(shape), for what is here. CUDA is in use by ours first."""
    import numpy as np
    import nvcv_cached as nvcv

    kind = np.dtype("f4")
    found = {
        "ours": lambda shape: nvcv.Tensor(shape, kind, "HWC"),
        "ours, handed out": lambda shape: nvcv.Tensor(shape, kind, "HWC").__cuda_array_interface__,
    }
    try:
        import torch

        torch.empty(1, device="cuda")
        found["torch"] = lambda shape: torch.empty(shape, dtype=torch.float32, device="cuda")
    except Exception as error:
        print(f"no torch: {error}", file=sys.stderr)
    try:
        import cupy

        cupy.empty(1)
        found["cupy"] = lambda shape: cupy.empty(shape, kind)
    except Exception as error:
        print(f"no cupy: {error}", file=sys.stderr)
    try:
        import cvcuda

        found["cvcuda"] = lambda shape: cvcuda.Tensor(shape, kind, "HWC")
    except Exception as error:
        print(f"no cvcuda: {error}", file=sys.stderr)
    return found


def per_call(make, shapes, rounds=ROUNDS):
    """Median over the rounds of one call's time, in us."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for shape in shapes:
            make(shape)
        times.append((time.perf_counter() - begin) / len(shapes))
    return statistics.median(times) * 1e6


def on_threads(make, count=16):
    """Wall time by all calls of all threads, in us: they take turns, with the interpreter's lock."""
    start = threading.Barrier(count + 1)

    def work():
        make(SHAPE)
        start.wait()
        for _ in range(5 * CALLS):
            make(SHAPE)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    start.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - begin) / (count * 5 * CALLS) * 1e6


def first_objects(environment, processes=8):
    """Medians in ms of import, first and second object in a new process."""
    rows = []
    for _ in range(processes):
        done = subprocess.run(
            [sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True, timeout=60
        )
        done.check_returncode()
        rows.append([float(word) * 1e3 for word in done.stdout.split()])
    return dict(
        zip(("import_ms", "first_ms", "second_ms"), map(statistics.median, zip(*rows, strict=True)), strict=True)
    )


def main():
    place = Place()
    try:
        daemon = place.start("--device=cuda:0")
        os.environ.update(daemon.environment, NVCV_CACHED_ADDRESS=str(daemon.socket), NVCV_CACHED_AUTOSTART="0")
        chance = random.Random(42)
        shapes = [(chance.randint(1000, 2000), chance.randint(1000, 2000), 3) for _ in range(CALLS)]
        rows = {}
        for name, make in makers().items():
            per_call(make, shapes, rounds=2)
            rows[name] = {
                "one_shape_us": per_call(make, [SHAPE] * CALLS),
                "random_shapes_us": per_call(make, shapes),
                "threads_16_us": on_threads(make),
            }
        result = {"us": rows, "new_process": first_objects(dict(os.environ))}
    finally:
        place.close()
    ours = rows["ours"]
    budgets = [("hit in Python", ours["one_shape_us"], 0.4), ("random shapes in Python", ours["random_shapes_us"], 1.0)]
    if "cvcuda" in rows:
        budgets.append(("hit against a third of cvcuda's", ours["one_shape_us"], rows["cvcuda"]["one_shape_us"] / 3))
    result["budgets"] = [
        {"what": what, "us": round(us, 4), "budget_us": round(limit, 4), "met": us <= limit}
        for what, us, limit in budgets
    ]
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
