"""What these tests share: sizes, deadlines, conditions that become true, processes as the kernel sees them.

Everything has a deadline, and nothing sleeps for a guess: `eventually` asks again until it is so.
"""

import contextlib
import os
import signal
import time
import types
from pathlib import Path

BIN = Path(os.environ.get("NVCV_CACHED_BIN", Path(__file__).parents[2] / "build" / "bin"))
LONG = os.environ.get("NVCV_CACHED_LONG") == "1"
KIB, MIB = 1 << 10, 1 << 20
DEADLINE = 20.0


def eventually(condition, what="", timeout=DEADLINE):
    """The first true value of `condition()`; a failed assertion inside counts as not yet."""
    end = time.monotonic() + timeout
    while True:
        last = None
        try:
            last = condition()
            if last:
                return last
        except AssertionError as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}; last: {last}")
        time.sleep(0.003)  # between two looks, not for an event


class FailedError(Exception):
    """What a probe or a liar answered instead of a result: the library's error class and text."""

    def __init__(self, kind, text=""):
        super().__init__(f"{kind}: {text}")
        self.kind, self.text = kind, text


@contextlib.contextmanager
def fails(*kinds):
    """The block fails with one of these error classes; yields an object whose `text` is the error's."""
    caught = types.SimpleNamespace(text="")
    try:
        yield caught
    except FailedError as error:
        assert error.kind in kinds, error
        caught.text = error.text
        return
    raise AssertionError(f"nothing failed where {' or '.join(kinds)} was expected")


children: list[int] = []  # forked by probes, so not ours to wait for: the fixture ends them


def clean_environment():
    """Without settings, and without a GPU: where nobody names a device, it is the host (tests/gpu has the others)."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NVCV_CACHED_")}
    return {**kept, "CUDA_VISIBLE_DEVICES": ""}


def process_state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "-"


def stop(pid):
    """SIGSTOP, and waits until every thread has stopped."""
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")
    eventually(lambda: all(process_state(task.name) in "Tt" for task in tasks.iterdir()), "all threads stopped")


def maps(pid):
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, *_, what = line.split(maxsplit=5) if line.count(" ") > 5 else (line.split()[0], "")
        begin, _, end = span.partition("-")
        yield int(begin, 16), int(end, 16), what


def table_bytes():
    return -(-(64 + 64 * (1024 + 4096 + 32768)) // 4096) * 4096


def kill_child(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    eventually(lambda: process_state(pid) in "-ZX", "the forked child is dead")
