"""Samples memory while an act runs: slabs (host: as the kernel counts them), and who holds them as the daemons say."""

import json
import subprocess
import threading
import time

INTERVAL = 0.03
LOOK_EVERY = 8  # samples between two looks at the sessions, which cost a process each


class Memory:
    """Use as a context manager. `held` maps a name to (seconds, bytes) pairs; `total` is of all slabs."""

    def __init__(self, daemons, names, origin=None):
        self._daemons, self._names = daemons, names
        self._origin = origin or time.monotonic()
        self._stop = threading.Event()
        self.total, self.held, self.events = [], {}, []

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def mark(self, what):
        self.events.append((time.monotonic() - self._origin, what))

    @property
    def peak(self):
        return max((size for _, size in self.total), default=0)

    def _run(self):
        tick = 0
        while not self._stop.wait(INTERVAL):
            now = time.monotonic() - self._origin
            pools = [daemon.slab_bytes() for daemon in self._daemons]
            self.total.append((now, sum(pools)))
            if len(pools) > 1:  # a daemon each
                for name, size in zip(self._names, pools, strict=True):
                    self.held.setdefault(name, []).append((now, size))
            elif tick % LOOK_EVERY == 0:
                for session in sessions(self._daemons[0]):
                    size = session["in_use_bytes"] + session["idle_bytes"]
                    self.held.setdefault(session["name"], []).append((now, size))
            tick += 1


def sessions(daemon):
    """The daemon's sessions, as nvcv-cachectl shows them."""
    reply = subprocess.run(
        [*daemon.ctl(), "sessions", "-o", "json"], check=True, capture_output=True, text=True, timeout=20
    )
    parsed = json.loads(reply.stdout)
    return parsed["sessions"] if isinstance(parsed, dict) else parsed


def save_map(daemon, path):
    """The memory map of this moment: who holds which block, as one page."""
    path.write_bytes(subprocess.run([*daemon.ctl(), "snapshot"], check=True, capture_output=True, timeout=20).stdout)


def session_of(daemon, pid):
    return next((session for session in sessions(daemon) if session["pid"] == pid), None)
