"""The parts of the benchmark on the host, each beside what its users have today and against the budgets of the design.

make bench
"""

import json
import os
import statistics
import subprocess
import sys
import time

import frontier_plot
from daemon import BIN, Daemon, Sampler
from measure import google, script

CORES = os.cpu_count() or 1


def objects(report):
    with Daemon(limit="4GiB", capacity="8GiB") as daemon:
        t = google("objects_benchmark", daemon.environment())
    how = "build/bin/objects_benchmark"
    report.row("C++ hit, acquire + release", t["TensorHit/threads:1"], "us", budget=0.060, how=how)
    report.row(
        "C++ hit among 1,000 idle specs",
        t["TensorHitAmong1000"],
        "us",
        budget=0.060,
        how=how,
        peer=("one spec", t["TensorHit/threads:1"]),
    )
    report.row(
        "C++ hit against malloc + free, untouched",
        t["TensorHit/threads:1"],
        "us",
        how=how,
        peer=("malloc + free", t["MakeAndDrop<Malloc>/threads:1"]),
    )
    report.row(
        "C++ hit against a new memfd",
        t["TensorHit/threads:1"],
        "us",
        how=how,
        peer=("memfd + mmap + munmap", t["MakeAndDrop<Memfd>"]),
        headline=True,
    )
    report.row(
        "C++ hit against shm_open",
        t["TensorHit/threads:1"],
        "us",
        how=how,
        peer=("shm_open + mmap + munmap", t["MakeAndDrop<ShmOpen>"]),
    )
    for threads in (2, 4, 8, 16):
        # Google Benchmark divides wall time by all threads' iterations: times cores in use gives one call's time.
        per_call = t[f"TensorHit/threads:{threads}"] * min(threads, CORES)
        single = t["TensorHit/threads:1"]
        report.row(
            f"C++ hit on {threads} threads, per call",
            per_call,
            "us",
            how=how,
            peer=("one thread", single),
            budget_ratio=1.5 if threads <= CORES else None,
        )
    for name in ("Malloc", "Memfd", "ShmOpen"):
        report.row(
            f"6 MB made, every page written, dropped: against {name}",
            t["MakeTouchDrop<Cached>"],
            "us",
            how=how,
            peer=(name, t[f"MakeTouchDrop<{name}>"]),
            headline=name == "ShmOpen",
        )
    report.row(
        "miss that the pool serves", t["PoolMiss"], "us", how=how, peer=("memfd, written", t["MakeTouchDrop<Memfd>"])
    )
    report.row("64 misses of one small spec, each", t["SmallMisses64"] / 64, "us", budget=10, how=how)
    report.row("random shapes in C++", t["RandomShapes"], "us", how=how)
    report.row("new thread, spec idle in the depot", t["NewThreadFromDepot"], "us", budget=1.0, how=how)


def python(report):
    with Daemon(limit="4GiB", capacity="8GiB") as daemon:
        t = script("python_hits.py", daemon.environment())
    how = "python bench/python_hits.py"
    report.row(
        "Python Tensor(...) hit",
        t["tensor_hit"],
        "us",
        budget=0.4,
        how=how,
        peer=("numpy.empty", t["numpy_empty"]),
        headline=True,
    )
    report.row(
        "Python hit against shared memory",
        t["tensor_hit"],
        "us",
        how=how,
        peer=("multiprocessing.shared_memory", t["shared_memory"]),
        headline=True,
    )
    report.row(
        "Python hit among 1,000 idle specs",
        t["tensor_hit_among_1000"],
        "us",
        budget=0.4,
        how=how,
        peer=("one spec", t["tensor_hit"]),
    )
    for name in ("Image", "ImageBatchVarShape", "TensorBatch", "Stream", "ExternalCacheItem"):
        report.row(f"Python {name}(...) hit", t[f"{name}_hit"], "us", budget=0.4, how=how)
        report.row(
            f"Python {name}(...) hit among 1,000 idle specs",
            t[f"{name}_hit_among_1000"],
            "us",
            budget=0.4,
            how=how,
            peer=("few specs", t[f"{name}_hit"]),
        )
    report.row("a batch of 1,000 images, each", t["batch_of_images"], "us", budget=1.0, how=how)
    report.row("Python random shapes", t["random_shapes"], "us", budget=1.0, how=how)
    for count in (2, 4, 16):
        report.row(
            f"Python hit on {count} threads, wall time per call",
            t[f"tensor_hit_{count}_threads"],
            "us",
            how=how,
            peer=("one thread", t["tensor_hit_1_threads"]),
        )


def reclaim(report):
    t = google("core_benchmark", dict(os.environ))
    how = "build/bin/core_benchmark"
    report.row("find and take the oldest among 100,000 leases", t["ReclaimAmong100k"], "us", budget=100, how=how)
    report.row("the same, every lease used since", t["ReclaimAmong100kStale"], "us", budget=100, how=how)


def frontier(report, images=3000, seed=1):
    """Time per image against memory held per memory live; ours under several limits, peers as they are."""
    points = []

    def point(allocator, environment, held=None):
        command = [str(BIN / "frontier"), allocator, str(images), str(seed)]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            result = json.loads(process.stdout.readline())
            result["held"] = held() if held else max(result["peak_live"], result["peak_resident"])
            process.communicate("\n")
        return result

    for allocator in ("malloc", "memfd", "shm_open"):
        points.append(point(allocator, dict(os.environ)))
    live = points[0]["peak_live"]
    # Memory that is mapped for one object alone is held exactly while it lives.
    for peer in points[1:]:
        peer["held"] = live
    for factor in (1.1, 1.25, 1.5, 2.0, 3.0):
        with Daemon(limit=int(live * factor), capacity="8GiB") as daemon:
            result = point("cached", daemon.environment(), daemon.pool_bytes)
            points.append(result | {"allocator": f"cached, limit {factor} x live"})
    for result in points:
        result["held_per_live"] = result["held"] / live
    frontier_plot.draw(points, report.out / "frontier.png")
    report.attach("frontier", points)
    ours = [p for p in points if p["allocator"].startswith("cached")]
    for peer in points[:3]:
        beaten = any(
            o["us_per_image"] <= peer["us_per_image"] or o["held_per_live"] <= peer["held_per_live"] for o in ours
        )
        best = min(ours, key=lambda o: o["us_per_image"])
        report.row(
            f"frontier: fastest point against {peer['allocator']}, per image",
            best["us_per_image"],
            "us",
            how=f"build/bin/frontier cached|{peer['allocator']} {images} {seed}",
            peer=(peer["allocator"], peer["us_per_image"]),
            met=beaten,
        )
    tight = min(ours, key=lambda o: o["held_per_live"])
    report.row(
        "held / live at the tightest limit",
        tight["held_per_live"],
        "x",
        how=f"build/bin/frontier cached {images} {seed}",
        peer=("malloc, resident", points[0]["held_per_live"]),
    )


def bursty(report, processes=4, bursts=4):
    """Four bursty processes out of phase: one shared daemon against a daemon each, the same program and settings.

    The limit is what one process needs at full speed, so that every private cache works as well as it can."""
    settings = {"limit": "1GiB", "capacity": "8GiB", "trim_after": "100ms"}
    burst, rest = 1000, 3000

    def run(daemons):
        workers = []
        with Sampler(daemons) as sampler:
            for i in range(processes):
                command = [str(BIN / "bursty"), str(i + 1), str(bursts), str(burst), str(rest), str(i * burst)]
                workers.append(
                    subprocess.Popen(
                        command, env=daemons[i % len(daemons)].environment(), stdout=subprocess.PIPE, text=True
                    )
                )
            results = [json.loads(worker.communicate()[0]) for worker in workers]
        return results, sampler

    with Daemon(**settings) as daemon:
        with_one, shared = run([daemon])
    private = [Daemon(**settings) for _ in range(processes)]
    for daemon in private:
        daemon.__enter__()
    try:
        with_each, alone = run(private)
    finally:
        for daemon in private:
            daemon.__exit__()
    how = "python bench/run.py --only bursty"
    report.row(
        "four bursty processes, peak memory (books)",
        shared.peaks()[0] / 2**20,
        "MiB",
        how=how,
        budget_ratio=0.5,
        peer=("four private caches", alone.peaks()[0] / 2**20),
        headline=True,
    )
    times = [statistics.mean(r["us_per_image"] for r in results) for results in (with_one, with_each)]
    report.row("the same, time per image", times[0], "us", how=how, peer=("four private caches", times[1]))
    hits = [
        100 * sum(r["hits"] for r in results) / sum(r["hits"] + r["misses"] for r in results)
        for results in (with_one, with_each)
    ]
    report.row("the same, hits", hits[0], "%", how=how, peer=("four private caches", hits[1]))
    for name, sampler in (("shared", shared), ("private", alone)):
        books, kernel = sampler.peaks()
        report.row(
            f"books against kernel, {name}",
            books / 2**20,
            "MiB",
            how=how,
            peer=("kernel", kernel / 2**20),
            met=abs(books - kernel) <= 0.05 * max(kernel, 1),
        )


def crowd(report, count=2000):
    with Daemon(limit="1GiB", capacity="2GiB", max_sessions=count + 10) as daemon:
        before = daemon.resident_bytes()
        command = [str(BIN / "sessions_benchmark"), daemon.socket, str(count)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            line = process.stdout.readline()
            if not line:
                report.row(f"{count} sessions", 0, "sessions", how="build/bin/sessions_benchmark", met=False)
                return
            opened = json.loads(line)
            each = (daemon.resident_bytes() - before) / count / 1024
            process.kill()
        start = time.monotonic()
        while daemon.stats().get("sessions", 0) > 0 and time.monotonic() < start + 30:
            time.sleep(0.005)
        reaped = time.monotonic() - start
    how = "build/bin/sessions_benchmark"
    report.row(f"{count} sessions opened", opened["seconds"], "s", how=how, met=opened["sessions"] == count)
    report.row(f"daemon memory for each of {count} sessions", each, "KiB", how=how)
    report.row(f"{count} sessions reaped after SIGKILL", reaped, "s", how=how)


def idle(report, seconds=5):
    with Daemon(limit="1GiB", capacity="2GiB") as daemon:
        client = [
            sys.executable,
            "-c",
            "import nvcv_cached as n, numpy as np, sys; t = n.Tensor((64, 64), np.uint8); "
            "print(1, flush=True); sys.stdin.read()",
        ]
        with subprocess.Popen(
            client, env=daemon.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(1)
            before = daemon.cpu_seconds()
            time.sleep(seconds)
            spent = daemon.cpu_seconds() - before
            process.stdin.close()
    report.row(
        "daemon's CPU while nothing happens",
        spent / seconds * 100,
        "%",
        budget=0.5,
        how="python bench/run.py --only idle",
    )


PARTS = {
    "objects": objects,
    "python": python,
    "reclaim": reclaim,
    "frontier": frontier,
    "bursty": bursty,
    "crowd": crowd,
    "idle": idle,
}
