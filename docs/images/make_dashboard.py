"""docs/images/dashboard.png: the panels of deploy/grafana/nvcv-cached.json, drawn from a real Prometheus' answers.

It is no screenshot of Grafana: queries, titles and units are the dashboard's, the drawing is matplotlib's. A daemon on
the host device, the clients of tests/metrics and an exporter run for SECONDS, scraped twice a second.
Run in the tree: NVCV_CACHED_BIN=build/bin .venv/bin/python docs/images/make_dashboard.py [SECONDS]
"""

import json
import math
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("e2e", "metrics")]

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import prometheus  # noqa: E402
from conditions import MIB  # noqa: E402
from daemon import Workshop  # noqa: E402
from load import Load  # noqa: E402


def shown(legend, labels):
    text = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)
    return text.removeprefix("host ")


def scale(unit, values):
    """A unit that fits the values: its size and its name."""
    most = max((value for value in values if not math.isnan(value)), default=0)
    steps = {
        "bytes": [(1, "B"), (1 << 10, "KiB"), (1 << 20, "MiB"), (1 << 30, "GiB")],
        "s": [(1e-6, "us"), (1e-3, "ms"), (1, "s")],
        "percentunit": [(0.01, "%")],
        "ops": [(1, "per second")],
    }.get(unit, [(1, "")])
    return max((step for step in steps if step[0] <= max(most, steps[0][0])), key=lambda step: step[0])


def draw(axes, panel, series, begin):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    factor, name = scale(unit, [value for _, values in series for _, value in values])
    stacked = [entry for entry in series if "stacking" in panel["fieldConfig"]["defaults"]["custom"]][:6]
    below = None
    for label, values in series:
        times = [moment - begin for moment, _ in values]
        heights = [value / factor for _, value in values]
        if (label, values) in stacked:
            above = [a + b for a, b in zip(heights, below or [0] * len(heights), strict=True)]
            axes.fill_between(times, below or 0, above, alpha=0.7, linewidth=0, label=label)
            below = above
        else:
            axes.plot(times, heights, linewidth=1.2, label=label)
    axes.set_title(panel["title"], fontsize=9, loc="left")
    axes.set_ylabel(name, fontsize=7)
    axes.set_ylim(0, 1.4 * axes.dataLim.y1 or 1)  # room for the legend
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, ncols=2, loc="upper left", framealpha=0.6)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    workshop = Workshop()
    daemon = workshop.daemon(limit=24 * MIB, capacity=48 * MIB)
    exporter = prometheus.Exporter("--address", daemon.socket)
    server = prometheus.Prometheus(workshop.root / "prometheus", exporter)
    try:
        server.until("nvcv_cached_up == 1")
        load = Load(daemon)
        begin = time.time()
        while time.time() - begin < seconds:
            load.turn()
        end = time.time()
        board = json.loads(prometheus.DASHBOARD.read_text())
        charts = [panel for panel in board["panels"] if panel["type"] == "timeseries"]
        figure, all_axes = plt.subplots(3, 3, figsize=(13, 8), layout="constrained")
        for axes, panel in zip(all_axes.flat, charts, strict=True):
            series = [
                (shown(legend, row["metric"]), [(moment, float(value)) for moment, value in row["values"]])
                for expression, legend in prometheus.panels()[panel["title"]]
                for row in server.ask("query_range", query=expression, start=begin, end=end, step="1s")["result"]
            ]
            draw(axes, panel, series, begin)
        figure.suptitle("nvcv-cached: the dashboard's queries, answered by Prometheus (seconds of a run)", fontsize=10)
        figure.savefig(Path(__file__).parent / "dashboard.png", dpi=90)
    finally:
        server.close()
        exporter.close()
        trouble = workshop.close()
        workshop.remove()
        assert not trouble, trouble


if __name__ == "__main__":
    main()
