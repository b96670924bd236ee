"""Pictures of a GPU's results.json: the frontier, what a call takes, what four processes take.

python bench/gpu_plots.py RESULTS.json DIR
"""

import json
import sys
from pathlib import Path

OURS, OTHERS = "#4c72b0", "#b0b0b0"


def frontier(pyplot, data, path):
    points = data["frontier"]["points"]
    ours = sorted((p for p in points if "limit_per_live" in p), key=lambda p: p["limit_per_live"])
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    axes.plot(
        [p["held_per_live"] for p in ours],
        [p["us_per_image"] for p in ours],
        "o-",
        color=OURS,
        label="nvcv-cached, limits 1.1 to 3 x live",
    )
    for point, mark in zip((p for p in points if "limit_per_live" not in p), "sD^v<>", strict=False):
        axes.plot(point["held_per_live"], point["us_per_image"], mark, label=point["allocator"])
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):  # 20, not 2 x 10^1
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
    axes.set_xlabel("bytes of the GPU held / bytes live, at peak")
    axes.set_ylabel("microseconds per image (dropped, made, used)")
    axes.set_title("Random images between 480x640 and 2160x3840, 32 live")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize=8)
    save(pyplot, figure, path)


def calls(pyplot, data, path):
    """Make and drop in Python, on an idle and on a busy GPU."""
    kinds = [("one_shape", "one shape"), ("random", "random shapes"), ("busy", "one shape, GPU busy")]
    kinds = [(key, title) for key, title in kinds if key in data["python_us"]]
    figure, axes = pyplot.subplots(1, len(kinds), figsize=(4.2 * len(kinds), 3.2), sharey=True, layout="constrained")
    for axis, (key, title) in zip(axes, kinds, strict=True):
        found = {name: us for name, us in data["python_us"][key].items() if name != "object"}
        bars = axis.barh(list(found), list(found.values()), color=[OURS if "ours" in n else OTHERS for n in found])
        axis.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
        axis.margins(x=0.2)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("microseconds")
    axes[0].invert_yaxis()
    save(pyplot, figure, path)


def bursty(pyplot, data, path):
    found = {name: result["peak_bytes"] / 2**30 for name, result in data["bursty"].items() if result}
    figure, axes = pyplot.subplots(figsize=(6, 2.6), layout="constrained")
    bars = axes.barh(list(found), list(found.values()), color=[OURS if n == "ours" else OTHERS for n in found])
    axes.bar_label(bars, fmt="%.1f GiB", padding=2, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("GiB of the GPU at peak, contexts and daemon included")
    axes.set_title("Four processes, 4 GiB of images each, one after the other", fontsize=10)
    save(pyplot, figure, path)


def save(pyplot, figure, path):
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw(results, out):
    """Nothing without matplotlib, nor for a part that did not run."""
    try:
        import matplotlib
    except ImportError as error:
        print(f"no pictures: {error}", file=sys.stderr)
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    data = json.loads(Path(results).read_text())
    for plot, needs in ((frontier, "frontier"), (calls, "python_us"), (bursty, "bursty")):
        if needs in data:
            plot(pyplot, data, Path(out) / f"{plot.__name__}-gpu.png")


if __name__ == "__main__":
    draw(sys.argv[1], Path(sys.argv[2]))
