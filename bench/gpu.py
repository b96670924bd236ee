"""The parts of the benchmark on a GPU, each beside what its users have today and against the budgets of the design.

    make bench DEVICE=cuda:0

A peer that is not installed has no row. Where the driver runs no kernels (the fake one) there are no busy rows.
"""

import importlib.util
import os
import statistics
import subprocess

import gpu_frontier
from daemon import Daemon
from gpu_makers import maker
from measure import google_rows, script

DEVICE = "cuda:0"
CORES = os.cpu_count() or 1
PEERS = ("torch.empty", "cupy.empty", "cvcuda.Tensor", "RMM's pool")


def name():
    """The GPU and its driver, as nvidia-smi says."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader", "--id=0"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "no nvidia-smi here"
    return found.replace(", ", ", driver ")


def objects(report):
    """C++, beside the driver's own ways."""
    with Daemon(device=DEVICE, capacity="50%", limit="50%") as daemon:
        rows = google_rows("gpu_allocators", daemon.environment())
    # The fastest repetition: what is slower is the machine's doing. The worst call is the worst of all.
    t = {name: min(row["us"] for row in repeated) for name, repeated in rows.items()}
    how = "bin/gpu_allocators"

    def row(name, ours, peer=None, each=1, **more):
        if ours in t and (peer is None or peer in t):
            beside = {"peer": (peer, t[peer])} if peer else {}
            report.row(name, t[ours] / each, "us", how=how, **beside, **more)

    row("C++ hit, not handed out", "Hit/threads:1", "MallocAsyncFreeAsync/threads:1", budget=0.060, headline=True)
    row("C++ hit among 1,000 idle specs", "HitAmong1000", "Hit/threads:1", budget_ratio=1.25)
    row("C++ hit, handed out", "HitHandedOut/threads:1", "MallocAsyncFreeAsync/threads:1", budget=0.35, budget_ratio=1)
    row("the same, against cudaMalloc + cudaFree", "HitHandedOut/threads:1", "MallocFree")
    row("the same, against its event record alone", "HitHandedOut/threads:1", "EventRecord")
    row("the same, in turn on two streams", "HitOnAnotherStream", "MallocAsyncFreeAsync/threads:1")
    for threads in (4, 16):
        for name, kind in (("not handed out", "Hit"), ("handed out", "HitHandedOut")):
            # Google Benchmark divides wall time by all threads' iterations: times cores in use gives one call's time.
            ours, peer, single = (
                f"{kind}/threads:{threads}",
                f"MallocAsyncFreeAsync/threads:{threads}",
                t[f"{kind}/threads:1"],
            )
            calls = min(threads, CORES)
            met = t[ours] * calls <= 1.5 * single if kind == "Hit" and threads <= CORES else None
            if peer in t:
                report.row(
                    f"C++ hit on {threads} threads, {name}, per call", t[ours] * calls, "us", how=how,
                    peer=(peer, t[peer] * calls), met=met,
                )  # fmt: skip
    row("C++ hit, GPU busy", "HitBusy", "MallocAsyncFreeAsyncBusy", budget=0.060)
    row("C++ hit, handed out, GPU busy", "HitHandedOutBusy", "MallocAsyncFreeAsyncBusy", budget=0.35, budget_ratio=1)
    row("the same, against its event record alone", "HitHandedOutBusy", "EventRecordBusy")
    row("random shapes in C++, handed out", "RandomShapes", "RandomShapesMallocAsync")
    row("miss that the pool serves", "Miss", "MallocFree", budget_ratio=1)
    row("the same, against cudaMallocAsync + cudaFreeAsync", "Miss", "MallocAsyncFreeAsync/threads:1")
    row("the same, GPU busy", "MissBusy", "MallocFreeBusy", budget_ratio=1, headline=True)
    row("the same, GPU busy, against cudaMallocAsync + cudaFreeAsync", "MissBusy", "MallocAsyncFreeAsyncBusy")
    row("the same, GPU busy, against idle", "MissBusy", "Miss", budget_ratio=1.25)
    row("64 misses of one small spec, each", "MissesInARow", each=64, budget=10)
    if "OverTheLimitBusy" in rows:
        repeated = rows["OverTheLimitBusy"]
        report.row("C++ over the limit, GPU busy, mean", t["OverTheLimitBusy"], "us", how=how)
        report.row("the same, 99 in 100", max(row["p99_us"] for row in repeated), "us", how=how)
        report.row("the same, the worst of 6,000", max(row["max_us"] for row in repeated), "us", how=how, budget=1000)
    report.attach("objects_us", t)


def python(report):
    with Daemon(device=DEVICE) as daemon:
        t = script("gpu_hits.py", daemon.environment())
    how = "python bench/gpu_hits.py"
    hit = t["one_shape"]["ours"]

    def against(name, found, ours="ours", **first):
        for peer in PEERS:
            if peer in found:
                report.row(f"{name}, against {peer}", found[ours], "us", how=how, peer=(peer, found[peer]), **first)
                first = {key: value for key, value in first.items() if key == "headline"}

    report.row(
        "Python hit", hit, "us", how=how, budget=0.4, peer=("object()", t["one_shape"]["object"]),
    )  # fmt: skip
    against("Python hit", t["one_shape"], headline=True)
    if "cvcuda.Tensor" in t["one_shape"]:
        peer = t["one_shape"]["cvcuda.Tensor"]
        report.row(
            "Python hit, a third of CV-CUDA's", hit, "us", how=how, peer=("cvcuda.Tensor", peer), budget_ratio=1 / 3
        )
    against("Python hit, handed out", t["one_shape"], ours="ours, handed out")
    report.row("Python random shapes", t["random"]["ours"], "us", how=how, budget=1.0)
    against("Python random shapes", t["random"])
    missed = t["misses"]
    beside = {"peer": ("cvcuda.Tensor at limit 0", missed["cvcuda.Tensor"])} if "cvcuda.Tensor" in missed else {}
    report.row("Python miss that the pool serves", missed["ours"], "us", how=how, **beside)
    against("the same, beside others' hits", t["one_shape"] | {"ours": missed["ours"]})
    for kind, times in t["classes"].items():
        peer = {"peer": (f"cvcuda.{kind}", times["cvcuda"])} if "cvcuda" in times else {}
        report.row(f"Python hit, {kind}", times["nvcv_cached"], "us", how=how, **peer)
    if "busy" in t:
        report.row("Python hit, GPU busy", t["busy"]["ours"], "us", how=how, budget=0.4)
        against("Python hit, GPU busy", t["busy"])
        against("Python hit, handed out, GPU busy", t["busy"], ours="ours, handed out")
    report.row(
        "Python hit on 16 threads, wall time per call", t["threads_16"]["ours"], "us", how=how,
        peer=("one thread", hit), budget_ratio=1.25,
    )  # fmt: skip
    against("Python hit on 16 threads", t["threads_16"])
    report.row(
        "Python hit among 1,000 idle specs", t["among_1000"]["ours"], "us", how=how, budget=0.4, peer=("one spec", hit)
    )
    against("Python hit among 1,000 idle specs", t["among_1000"])
    for name, key in (("half of all", "p50"), ("99 in 100", "p99"), ("the worst of 500", "max")):
        if "over" in t:
            peer = t["over"].get("cvcuda.Tensor")
            report.row(
                f"Python over the limit, GPU busy, {name}", t["over"]["ours"][key], "us", how=how,
                budget=1000 if key == "max" else None, peer=("cvcuda.Tensor", peer[key]) if peer else None,
            )  # fmt: skip
    report.attach("python_us", t)


def first(report, processes=5):
    how = "python bench/gpu_first.py MAKER"
    attached = {}
    with Daemon(device=DEVICE) as daemon:
        makers = [name for name in ("ours", *PEERS[:3]) if name == "ours" or maker(name)]
        if importlib.util.find_spec("rmm"):  # its pool would stay in this process
            makers.append("RMM's pool")
        for what, more in (
            ("first object of a new process, with its import", []),
            ("first object, import and GPU context being there", ["ready"]),
        ):
            found = {}
            for name in makers:
                times = [script("gpu_first.py", daemon.environment(), name, *more) for _ in range(processes)]
                found[name] = statistics.median(time["first"] for time in times)
            report.row(what, found["ours"], "ms", how=how)
            for peer in makers[1:]:
                report.row(f"{what}, against {peer}", found["ours"], "ms", how=how, peer=(peer, found[peer]))
            attached[what] = found
    report.attach("first_ms", attached)


def dominates(one, other):
    """Better on both axes."""
    return all(one[axis] < other[axis] for axis in ("us_per_image", "held_per_live"))


def frontier(report, images=4000, seed=1):
    """Time per image against memory held per memory live; ours under several limits, peers as they are.

    The capacity is that of a GPU for this program alone: a 64th of it may stand empty."""
    live = gpu_frontier.peak_live(images, seed)
    how = f"python bench/gpu_frontier.py MAKER {images} {seed}"
    peers, curve = [], []
    for name in (*PEERS, "cudaMallocAsync", "cudaMalloc"):
        point = script("gpu_frontier.py", dict(os.environ), name, images, seed)
        if point:
            peers.append(point)
    for factor in (1.1, 1.25, 1.5, 2.0, 3.0):
        with Daemon(device=DEVICE, limit=int(live * factor), capacity=4 * live) as daemon:
            point = script("gpu_frontier.py", daemon.environment(), "ours", images, seed)
            curve.append(point | {"allocator": f"ours, limit {factor} x live", "limit_per_live": factor})
    for point in (*peers, *curve):
        point["held_per_live"] = point["held"] / live
    best = [point for point in curve if not any(dominates(other, point) for other in curve)]
    for peer in peers:
        # What a user of this peer would take: our fastest point that holds no more than it, else our smallest.
        within = [point for point in best if point["held_per_live"] <= peer["held_per_live"]]
        ours = min(within or best, key=lambda point: point["us_per_image" if within else "held_per_live"])
        report.row(
            f"frontier: {ours['limit_per_live']} x live ({ours['held_per_live']:.2f} held) against {peer['allocator']} "
            f"({peer['held_per_live']:.2f})",
            ours["us_per_image"], "us", how=how, peer=(peer["allocator"], peer["us_per_image"]),
            met=not any(dominates(peer, point) for point in best),
        )  # fmt: skip
    report.attach("frontier", {"peak_live": live, "points": [*curve, *peers]})


def bursty(report, gib=4):
    how = f"python bench/gpu_bursty.py MAKER {gib}"
    found = {name: script("gpu_bursty.py", dict(os.environ), name, gib) for name in ("ours", *PEERS[:3])}
    ours = found["ours"]
    for peer in PEERS[:3]:
        if found[peer] is None:
            continue
        report.row(
            f"four bursty processes, peak of the GPU, against {peer}", ours["peak_bytes"] / 2**20, "MiB", how=how,
            peer=(peer, found[peer]["peak_bytes"] / 2**20), budget_ratio=0.5, headline=peer == "torch.empty",
        )  # fmt: skip
        report.row(
            "the same, one burst", ours["burst_s"] * 1e3, "ms", how=how, peer=(peer, found[peer]["burst_s"] * 1e3)
        )
    report.attach("bursty", found)


PARTS = {"objects": objects, "python": python, "first": first, "frontier": frontier, "bursty": bursty}
