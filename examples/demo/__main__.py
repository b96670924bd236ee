"""Four processes on real photographs, each with a cache of its own and then with one for all (make demo).

    python examples/demo [--out demo-out] [--device host|cuda:0]

On the GPU where there is one, else on the host. Each result is compared, bit by bit, with the
same computation on plain NumPy arrays; a difference is exit 1.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "bench"))

import acts
import crew
import photos
import results
from daemon import BIN, Daemon
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

WORKERS = 4
SHEET_COLUMNS = 6


class Bars:
    """Progress of an act, a bar for each process."""

    def __init__(self, console, title, totals):
        self._progress = Progress(
            TextColumn("{task.description:24}"),
            BarColumn(30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks = {name: self._progress.add_task(f"{title}  {name}", total=total) for name, total in totals.items()}

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *_):
        self._progress.stop()

    def __call__(self, name):
        self._progress.advance(self._tasks[name])


def totals(plan):
    count = sum(len(plan.burst(0, turn)) for turn in range(acts.ROUNDS))
    return dict.fromkeys(("python-1", "c++-1", "python-2", "c++-2"), count)


def chosen_device():
    """The first GPU where the daemon can serve one."""
    asked = subprocess.run([BIN / "nvcv-cached", "--device=cuda:0", "--check-config"], capture_output=True, text=True)
    return "cuda:0" if asked.returncode == 0 else "host"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo-out"))
    parser.add_argument("--device", choices=["host", "cuda:0"])
    arguments = parser.parse_args()
    out, device = arguments.out, arguments.device or chosen_device()
    out.mkdir(parents=True, exist_ok=True)
    console = Console(soft_wrap=True)
    plan = acts.Plan(photos.prepare(out / "photographs"))

    wanted = [frame.job for frame in plan.frames if frame.job % acts.CROPS == 0][:SHEET_COLUMNS]
    saved = {}

    def save(name):
        folder = out / "frames" / name
        folder.mkdir(parents=True, exist_ok=True)
        saved[name] = [(job, folder / f"{job}.raw") for job in wanted]
        return dict(saved[name])

    with Bars(console, "private", totals(plan)) as bars, daemons(WORKERS, device) as private_daemons:
        private, workers = acts.steady(f"private x{WORKERS}", private_daemons, BIN, plan, bars, lambda _: {})
    everyone = list(workers)
    with daemons(1, device) as shared_daemon:
        with Bars(console, "shared", totals(plan)) as bars:
            shared, workers = acts.steady("shared", shared_daemon, BIN, plan, bars, save)
        everyone += workers
    with daemons(1, device) as shared_daemon:
        with Bars(console, "faults", acts.FAULT_FRAMES) as bars:
            told, intact, workers, watched = acts.faults(shared_daemon[0], BIN, plan, bars, out / "memory.html")
        everyone += workers
    with Bars(console, "check", {"NumPy": len(plan.frames)}) as bars:
        checksums = acts.expected(plan, bars)
    wrong = acts.differences(everyone, checksums)

    results.contact_sheet(out / "contact-sheet.png", saved)
    results.chart(
        out / "memory.png",
        [(private.name, private.memory), (shared.name, shared.memory), ("stop and kill", watched)],
    )
    verdict = "DIFFERENT" if wrong else f"identical (sha256 {results.fingerprint(checksums)[:4]}..)"
    console.print()
    print(results.table(device, private, shared, verdict))
    for line in told:
        print(line)
    print(f"look: {out}/memory.html  {out}/contact-sheet.png  {out}/memory.png")
    print(f"live: {Path(os.path.relpath(BIN))}/nvcv-cachectl top, while a daemon runs (nvcv-cachectl start)")
    if wrong:
        for worker, job in wrong[:10]:
            print(f"{worker}: frame {job} differs from plain NumPy", file=sys.stderr)
    return 1 if wrong or not intact else 0


class daemons:  # noqa: N801 - reads as a verb
    """`count` daemons of the demo's settings, on private sockets."""

    def __init__(self, count, device):
        self._daemons = [Daemon(device=device, **acts.SETTINGS) for _ in range(count)]

    def __enter__(self):
        return [daemon.__enter__() for daemon in self._daemons]

    def __exit__(self, *exception):
        for daemon in self._daemons:
            daemon.__exit__(*exception)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except crew.WorkerError as error:
        sys.exit(f"demo: {error}")
