"""Runs every benchmark, each beside what users have today, and holds the ratios against the budgets.

    make bench                          everything, about five minutes on two cores
    .venv/bin/python bench/run.py --only objects,python
    .venv/bin/python bench/run.py --publish      also writes docs/results and the README's table
    .venv/bin/python bench/run.py --device cuda:0 --out DIR     those of a GPU (gpu.py), about four minutes

Each row names the command that makes it. A budget that is not met says MISSED; the exit code is 1 then only
with --strict. Absolute times belong to the machine they were taken on; compare ratios.
"""

import argparse
import datetime
import pathlib
import platform
import re
import subprocess
import sys

import gpu
import gpu_plots
import host
from daemon import ROOT
from report import Report


def machine(device):
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    found = {
        "cpu": model.group(1) if model else platform.machine(),
        "cores": host.CORES,
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
    }
    return found if device == "host" else found | {"gpu": gpu.name()}


def commit():
    """Of the checkout, or of the bundle that holds this tree."""
    bundled = ROOT.parent / "COMMIT"
    if bundled.exists():
        return bundled.read_text().strip()
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = f"for the host {', '.join(host.PARTS)}; for a GPU {', '.join(gpu.PARTS)}"
    parser.add_argument("--device", default="host", choices=["host", gpu.DEVICE])
    parser.add_argument("--only", help="parts, separated by commas: " + known)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "bench-out")
    parser.add_argument("--publish", action="store_true", help="write docs/results and the README's table (host)")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a budget is missed")
    options = parser.parse_args()
    if options.publish and options.device != "host":
        parser.error("--publish: a GPU's results are published with the suite's, from the bundle's")
    options.out.mkdir(parents=True, exist_ok=True)
    parts = host.PARTS if options.device == "host" else gpu.PARTS
    report = Report(machine(options.device), options.out)
    for name in options.only.split(",") if options.only else parts:
        if name not in parts:
            parser.error(f"--only {name}: known are {known}")
        print(f"... {name}", file=sys.stderr, flush=True)
        parts[name](report)
        report.write_json(options.out / "results.json")  # after each part, for whoever is stopped in the middle
    print(report.table())
    (options.out / "table.txt").write_text(report.table() + "\n")
    if options.device != "host":
        gpu_plots.draw(options.out / "results.json", options.out)
    if options.publish:
        report.publish(ROOT)
    return 1 if options.strict and report.missed() else 0


if __name__ == "__main__":
    sys.exit(main())
