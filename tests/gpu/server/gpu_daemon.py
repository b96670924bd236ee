"""A daemon on a GPU for these tests: the machine's own, or the fake driver's where NVCV_CACHED_FAKE_CUDA names it."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

BIN = Path(os.environ.get("NVCV_CACHED_BIN", Path(__file__).parents[3] / "build" / "bin"))
FAKE = os.environ.get("NVCV_CACHED_FAKE_CUDA")
DEADLINE = 30.0
UUID = re.compile(r"(GPU|MIG)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def eventually(condition, what):
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {DEADLINE} s: {what}"
        time.sleep(0.005)  # between two looks, not for an event
    return value


class Place:
    """A directory of its own for one test: sockets, settings, the fake GPU's memory."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="nvcv-gpu-"))
        (self.directory / "fake").mkdir()
        self.processes = []

    def environment(self, **changes):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("NVCV_CACHED_")}
        kept["XDG_RUNTIME_DIR"] = str(self.directory)
        if FAKE:
            kept["LD_LIBRARY_PATH"] = f"{FAKE}:{kept.get('LD_LIBRARY_PATH', '')}"
            kept["FAKE_CUDA_DIR"] = str(self.directory / "fake")
        kept.update(changes)
        return {key: value for key, value in kept.items() if value is not None}

    def run(self, *flags, **changes):
        """To its end."""
        return subprocess.run(
            [BIN / "nvcv-cached", *flags],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            env=self.environment(**changes),
        )

    def start(self, *flags, prefix=(), wait=True, **changes):
        daemon = Daemon(self, [*prefix, str(BIN / "nvcv-cached"), *flags], self.environment(**changes))
        self.processes.append(daemon.process)
        if wait:
            daemon.wait_ready()
        return daemon

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(DEADLINE)
        shutil.rmtree(self.directory, ignore_errors=True)


class Daemon:
    def __init__(self, place, command, environment):
        self.place = place
        self.environment = environment
        self.log = place.directory / f"daemon-{len(place.processes)}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_ready(self):
        def ready():
            assert self.process.poll() is None, f"exit {self.process.returncode}:\n{self.text()}"
            return " ready " in self.text()

        eventually(ready, "the daemon is ready")

    @property
    def uuid(self):
        return UUID.search(self.text()).group()

    @property
    def pid(self):
        return int(re.search(r" start .*pid=(\d+)", self.text()).group(1))

    @property
    def socket(self):
        return Path(re.search(r" ready socket=(\S+)", self.text()).group(1))

    def ctl(self, *arguments):
        return subprocess.run(
            [BIN / "nvcv-cachectl", "--address", self.socket, "-o", "json", *arguments],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            env=self.environment,
        )

    def stats(self):
        return json.loads(self.ctl("stats").stdout)

    def kill(self):
        """The daemon itself: a stand-in that is killed ends before the daemon behind it does."""
        os.kill(self.pid, signal.SIGKILL)
        return self.process.wait(DEADLINE)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)
