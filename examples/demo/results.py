"""What the demo shows in the end: the table, the contact sheet, the chart of memory over time."""

import hashlib
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pipeline

mpl.use("Agg")
import matplotlib.pyplot as plt

MIB = 2**20
COLOURS = ["#4c72b0", "#dd8452", "#55a868", "#937860"]  # told apart by the colour-blind too


def table(device, private, shared, verdict):
    head = f"device {device}, {len(private.memory.held)} processes, {private.frames + shared.frames:,} frames"
    rows = [(head, "peak memory", "time", "hits", "outputs")]
    rows += [
        (
            f"{outcome.name}",
            f"{outcome.peak / MIB:,.0f} MiB",
            f"{outcome.seconds:.1f} s",
            f"{outcome.hit_percent:.1f} %",
            said,
        )
        for outcome, said in ((private, verdict), (shared, verdict))
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def fingerprint(checksums):
    text = " ".join(f"{job}:{checksum}" for job, checksum in sorted(checksums.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def contact_sheet(path: Path, saved: dict[str, list[tuple[int, Path]]]):
    """A row for each worker, a column for each photograph: what they made of the same crops."""
    height, width = pipeline.SIZES[0]
    columns = max(len(made) for made in saved.values())
    figure, axes = plt.subplots(
        len(saved), columns, figsize=(2.1 * columns, 1.75 * len(saved)), squeeze=False, layout="constrained"
    )
    for row, (worker, made) in zip(axes, saved.items(), strict=True):
        for axis in row:
            axis.set_axis_off()
        for axis, (job, file) in zip(row, made, strict=False):
            axis.imshow(np.fromfile(file, np.uint8).reshape(height, width, 3))
            axis.set_title(f"{worker}, frame {job}", fontsize=7)
    figure.suptitle("cropped, resized, blurred: the same crops by every process, equal bit by bit", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def chart(path: Path, acts):
    """Memory over time; `acts` are (title, Memory) pairs."""
    figure, axes = plt.subplots(1, len(acts), figsize=(5.2 * len(acts), 3.8), sharey=True, layout="constrained")
    names = list(acts[0][1].held)
    for axis, (title, memory) in zip(axes, acts, strict=True):
        times = np.array([second for second, _ in memory.total])
        total = np.array([size for _, size in memory.total]) / MIB
        parts = []
        for name in names:
            series = memory.held.get(name, [])
            if series:
                seconds, sizes = np.array(series).T
                parts.append(np.interp(times, seconds, sizes / MIB, left=0, right=0))
            else:
                parts.append(np.zeros_like(times))
        axis.stackplot(times, parts, labels=names, colors=COLOURS, alpha=0.85)
        axis.plot(times, total, color="black", linewidth=1.2, label="slabs")
        axis.set_title(f"{title}: peak {total.max(initial=0):,.0f} MiB", fontsize=10)
        axis.set_xlabel("seconds")
        for second, what in memory.events:
            axis.axvline(second, color="black", linestyle=":", linewidth=0.9)
            axis.annotate(what, (second, 0.97), xycoords=("data", "axes fraction"), rotation=90, fontsize=7,
                          ha="right", va="top")  # fmt: skip
    axes[0].set_ylabel("MiB, in use and idle")
    axes[0].legend(fontsize=7, loc="upper left")
    figure.savefig(path, dpi=110)
    plt.close(figure)
