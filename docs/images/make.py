"""Makes the pictures of the docs again: `top` as a terminal shows it, and the memory map.

    .venv/bin/python docs/images/make.py [--out docs/images]

Needs a build (make build) and tmux. Four processes work on images of different sizes for a while; one of them stands
still in the end. Both pictures are SVG with their fonts left to the reader.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "bench"))

from daemon import Daemon
from rich.console import Console
from rich.text import Text

COLUMNS, ROWS = 104, 12
SECONDS = 62
WORKERS = {"decode": 1, "resize": 2, "detector": 3, "thumbnails": 4}
SETTINGS = {"capacity": "512MiB", "limit": "384MiB", "slab_size": "64MiB"}

# Holds a few images of its own sizes, and makes and drops others in bursts.
WORKER = """
import collections, random, sys, time
import numpy as np, nvcv_cached as nvcv
number = int(sys.argv[1])
random.seed(number)
sizes = [(240 * number + 60 * step, 320 * number + 80 * step) for step in range(6)]
held = collections.deque(maxlen=2 + number)
began = time.monotonic()
print("ready", flush=True)
while True:
    for _ in range(random.randrange(400, 4000)):
        height, width = random.choice(sizes)
        image = nvcv.Tensor((height, width, 3), np.uint8, "HWC")
        if random.random() < 0.01:
            held.append(image)
    time.sleep(random.random() * 0.2)
"""

PICTURE = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
  line-height: {line_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
<rect fill="#1e1e1e" width="{width}" height="{height}" rx="6"/>
<g transform="translate(12, 12)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


class Tmux:
    """A terminal of our own."""

    def __init__(self, command):
        self._directory = tempfile.TemporaryDirectory(prefix="nvcv-tmux-")
        self._run("-f", os.devnull, "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), shlex.join(command))

    def _run(self, *arguments):
        socket = os.path.join(self._directory.name, "tmux")
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "screen-256color"}
        command = ["tmux", "-u", "-S", socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    def capture(self):
        return self._run("capture-pane", "-p", "-e")

    def close(self):
        self._run("kill-server")
        self._directory.cleanup()


def picture_of(screen):
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(screen), end="")
        return console.export_svg(title="nvcv-cachectl top", code_format=PICTURE, unique_id="top")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long the workers work")
    arguments = parser.parse_args()
    workers = []
    with Daemon(**SETTINGS) as daemon:
        try:
            for name, number in WORKERS.items():
                environment = daemon.environment() | {"NVCV_CACHED_NAME": name}
                command = [sys.executable, "-c", WORKER, str(number)]
                workers.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
            for worker in workers:
                worker.stdout.readline()
            terminal = Tmux([*daemon.ctl(), "top"])
            time.sleep(arguments.seconds)  # for as long as the sparkline shows
            workers[2].send_signal(signal.SIGSTOP)
            time.sleep(2)
            screen = terminal.capture()
            drawn = subprocess.run([*daemon.ctl(), "snapshot", "-o", "svg"], check=True, capture_output=True, text=True)
            terminal.close()
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "top.svg").write_text(picture_of(screen))
    (arguments.out / "memory-map.svg").write_text(drawn.stdout)


if __name__ == "__main__":
    main()
