"""A daemon of the benchmarks' own: private socket, given settings, its books and its kernel figures."""

import json
import os
import pathlib
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("NVCV_CACHED_BUILD", ROOT / "build")) / "bin"


class Daemon:
    """Use as a context manager; leaves nothing behind."""

    def __init__(self, device="host", **settings):
        self._device = device
        self._directory = tempfile.TemporaryDirectory(prefix="nvcv-bench-")
        self.socket = os.path.join(self._directory.name, "host.sock")
        self._flags = [f"--{key.replace('_', '-')}={value}" for key, value in settings.items()]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the daemon

    def __enter__(self):
        command = [BIN / "nvcv-cached", f"--device={self._device}", f"--socket={self.socket}", *self._flags]
        self._process = subprocess.Popen(command, stderr=self._log, stdout=self._log, env=self.environment())
        deadline = time.monotonic() + 10
        while subprocess.run([*self.ctl(), "ping"], capture_output=True).returncode != 0:
            if time.monotonic() > deadline or self._process.poll() is not None:
                self._log.seek(0)
                raise RuntimeError(f"the daemon did not start:\n{self._log.read()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._directory.cleanup()

    @property
    def pid(self):
        return self._process.pid

    def environment(self):
        """For clients: this daemon and no other."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("NVCV_CACHED_")}
        kept |= {"NVCV_CACHED_ADDRESS": self.socket, "NVCV_CACHED_AUTOSTART": "0"}
        return kept | ({"NVCV_CACHED_DEVICE": "host"} if self._device == "host" else {})

    def ctl(self):
        return [str(BIN / "nvcv-cachectl"), "--address", self.socket]

    def stats(self):
        reply = subprocess.run([*self.ctl(), "stats", "-o", "json"], capture_output=True, text=True, check=True)
        parsed = json.loads(reply.stdout)
        return parsed[0] if isinstance(parsed, list) else parsed

    def pool_bytes(self):
        """Slab bytes by the daemon's books."""
        return self.stats()["pool"]["pool_bytes"]

    def kernel_bytes(self):
        """Slab bytes by the kernel: what the daemon's memfds of slabs really take."""
        sizes = {}  # by inode: several descriptors may name one slab
        folder = f"/proc/{self.pid}/fd"
        for name in os.listdir(folder):
            try:
                target = os.readlink(f"{folder}/{name}")
                if target.startswith("/memfd:") and "slab" in target:
                    found = os.stat(f"{folder}/{name}")
                    sizes[found.st_ino] = found.st_blocks * 512
            except FileNotFoundError:
                continue
        return sum(sizes.values())

    def slab_bytes(self):
        """Slab bytes by whoever knows best: the kernel on the host, the books on a GPU."""
        return self.kernel_bytes() if self._device == "host" else self.pool_bytes()

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        return int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * 4096


class Sampler:
    """Samples the sum over some daemons, by their books and by the kernel, until it is stopped."""

    def __init__(self, daemons, interval=0.05):
        self._daemons, self._interval = daemons, interval
        self._stop = threading.Event()
        self.books, self.kernel, self.times = [], [], []

    def __enter__(self):
        self._start = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self):
        while not self._stop.wait(self._interval):
            self.times.append(time.monotonic() - self._start)
            self.books.append(sum(daemon.pool_bytes() for daemon in self._daemons))
            self.kernel.append(sum(daemon.kernel_bytes() for daemon in self._daemons))

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def peaks(self):
        return max(self.books, default=0), max(self.kernel, default=0)
