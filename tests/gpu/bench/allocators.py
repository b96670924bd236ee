"""The C++ benchmark on a daemon of its own, its results held against the budgets; JSON on stdout."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from gpu_daemon import BIN, Place

SCALE = {"ns": 1e-3, "us": 1.0, "ms": 1e3}


def measure(daemon):
    """{name: its row}, the fastest of three repetitions: what is slower is the machine's doing."""
    command = [
        BIN / "gpu_allocators",
        "--benchmark_format=json",
        "--benchmark_repetitions=3",
        "--benchmark_min_time=0.2",
    ]
    environment = {**daemon.environment, "NVCV_CACHED_ADDRESS": str(daemon.socket), "NVCV_CACHED_AUTOSTART": "0"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=280)
    rows = {}
    for row in json.loads(done.stdout)["benchmarks"]:
        if row.get("run_type") == "aggregate" or row.get("error_occurred"):
            continue
        name = re.sub(r"/real_time|/iterations:\d+|/threads:1$", "", row["run_name"])
        row["us"] = row["real_time"] * SCALE[row["time_unit"]]
        kept = rows.get(name)
        if kept is None or row["us"] < kept["us"]:
            rows[name] = {**row, "max_us": max(row.get("max_us", 0), kept["max_us"] if kept else 0)}
        else:
            kept["max_us"] = max(row.get("max_us", 0), kept["max_us"])
    return rows


def held_against(rows):
    """(what, measured, budget, unit); nothing for what could not be measured here."""
    us = {name: row["us"] for name, row in rows.items()}
    worst = {name: row["max_us"] for name, row in rows.items()}

    def budget(what, measured, limit):
        try:
            found, allowed = measured(), limit()
        except KeyError:
            return
        yield {"what": what, "us": round(found, 4), "budget_us": round(allowed, 4), "met": found <= allowed}

    yield from budget("hit, not handed out", lambda: us["Hit"], lambda: 0.060)
    yield from budget(
        "hit, not handed out, 16 threads",
        lambda: us["Hit/threads:16"] * min(16, os.cpu_count()),
        lambda: us["Hit"] * 1.5,
    )
    yield from budget("hit, handed out", lambda: us["HitHandedOut"], lambda: 0.35)
    yield from budget("hit, handed out, against async", lambda: us["HitHandedOut"], lambda: us["MallocAsyncFreeAsync"])
    yield from budget("miss against malloc + free", lambda: us["Miss"], lambda: us["MallocFree"])
    yield from budget("miss, GPU busy, against idle", lambda: us["MissBusy"], lambda: us["Miss"] * 1.25)
    yield from budget("64 misses in a row, each", lambda: us["MissesInARow"] / 64, lambda: 10)
    yield from budget("over the limit, GPU busy, worst", lambda: worst["OverTheLimitBusy"], lambda: 1000)


def main():
    place = Place()
    try:
        daemon = place.start("--device=cuda:0", "--capacity=50%", "--limit=50%")
        rows = measure(daemon)
    finally:
        place.close()
    kept = ("us", "max_us", "p99_us")
    found = {name: {key: round(row[key], 4) for key in kept if row.get(key)} for name, row in rows.items()}
    print(json.dumps({"benchmarks": found, "budgets": list(held_against(rows))}, indent=1))


if __name__ == "__main__":
    main()
