"""Runs a benchmark program to its end and reads what it printed."""

import json
import re
import statistics
import subprocess
import sys

from daemon import BIN, ROOT

SCALE = {"ns": 1e-3, "us": 1.0, "ms": 1e3}


def google_rows(binary, environment, pattern=".*"):
    """{name: its repetitions} of a Google Benchmark binary; `us` in each row is its real time."""
    command = [
        str(BIN / binary),
        f"--benchmark_filter={pattern}",
        "--benchmark_format=json",
        "--benchmark_repetitions=3",
        "--benchmark_min_time=0.2",
        "--benchmark_min_warmup_time=0.1",  # a processor that was idle takes a while to its full speed
    ]
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = {}
    for row in json.loads(output)["benchmarks"]:
        if row.get("run_type") != "aggregate" and not row.get("error_occurred"):
            name = re.sub(r"/(real_time|manual_time|iterations:\d+)", "", row["name"])
            rows.setdefault(name, []).append(row | {"us": row["real_time"] * SCALE[row["time_unit"]]})
    return rows


def google(binary, environment, pattern=".*"):
    """{name: real time in microseconds}, the median of three repetitions, of a Google Benchmark binary."""
    rows = google_rows(binary, environment, pattern)
    return {name: statistics.median(row["us"] for row in repeated) for name, repeated in rows.items()}


def script(name, environment, *arguments):
    """What a script of this folder prints: one line of JSON, the last."""
    command = [sys.executable, str(ROOT / "bench" / name), *map(str, arguments)]
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])
