"""The real daemon on a private directory, what its operator sees, and the workshop of one test."""

import json
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from books import Books, grown, identities, layout
from clients import Liar, Probe
from conditions import BIN, DEADLINE, MIB, FailedError, children, clean_environment, eventually, kill_child, stop


class Daemon:
    """One nvcv-cached on a private directory; `environment` is added to a clean one, `launcher` starts it."""

    launcher = ()

    def __init__(self, directory, environment=None, **flags):
        self.directory = directory
        self.socket = directory / "host.sock"
        self.log = directory / "daemon.log"
        self.flags = flags
        self.environment = environment or {}
        self.program = BIN / "nvcv-cached"
        self.expected_exit = 0
        self.clients = []
        self.last_stats = None
        self.process = None
        self.start()

    def command(self, **flags):
        merged = {"device": "host", "socket": self.socket, **self.flags, **flags}
        arguments = [f"--{key.replace('_', '-')}={value}" for key, value in merged.items() if value is not None]
        return [*self.launcher, str(self.program), *arguments]

    def start(self, wait=True):
        self._stderr = open(self.log, "ab")
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=self._stderr,
            stderr=self._stderr,
            env=clean_environment() | self.environment,
        )
        if wait:
            self.wait_ready()

    def start_from_file(self, text):
        """Ended and started anew with the limit, and whatever else `text` says, from a file: its path."""
        self.terminate()
        file = self.directory / "daemon.toml"
        file.write_text(text)
        self.flags.update(limit=None, config=file)
        self.start()
        return file

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"the daemon exited {self.process.returncode}:\n{self.log_text()}")
            return self.socket.exists() and self.ctl("ping", check=False).returncode == 0

        eventually(ready, "the daemon serves")

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE)

    def stop(self):
        stop(self.process.pid)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def terminate(self, timeout=DEADLINE):
        self.process.terminate()
        return self.process.wait(timeout)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # ---- clients

    def probe(self, name, **kwargs):
        self.clients.append(Probe(self, name, **kwargs))
        return self.clients[-1]

    def liar(self, name="liar"):
        self.clients.append(Liar(self, name))
        return self.clients[-1]

    # ---- what the operator sees

    def ctl(self, *args, check=True):
        result = subprocess.run(
            [str(BIN / "nvcv-cachectl"), "--address", str(self.socket), "-o", "json", *map(str, args)],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
            env=clean_environment(),
        )
        if check and result.returncode != 0:
            raise FailedError(f"nvcv-cachectl {args}: exit {result.returncode}", result.stderr)
        return result

    def json(self, *args):
        return json.loads(self.ctl(*args).stdout)

    def rows(self, what, *args):
        found = self.json(what, *args)
        return found[what] if isinstance(found, dict) else found

    def sessions(self):
        return self.rows("sessions")

    def session(self, probe):
        return next((row for row in self.sessions() if row["pid"] == probe.pid), None)

    def slabs(self):
        return self.rows("slabs")

    def leases(self, probe=None):
        rows = self.rows("leases")
        if probe is None:
            return rows
        session = self.session(probe)
        return [row for row in rows if row["session"] == session["id"]]

    def books(self):
        raw = self.json("stats")
        grown(self.last_stats, raw)
        self.last_stats = raw
        pool, cache = raw["pool"], raw["cache"]
        return Books(
            pool=pool["pool_bytes"],
            **pool["bytes"],
            capacity=pool["capacity_bytes"],
            limit=cache["limit_bytes"],
            cache_bytes=cache["bytes"],
            cache_items=cache["items"],
            sessions=raw["sessions"],
            slabs=raw["slabs"],
            epoch=raw["epoch"],
            totals=raw["totals"],
            raw=raw,
        )

    def quiet(self, **expected):
        """Waits until the books show the expected numbers, and returns them, checked."""

        def matches():
            books = self.books()
            identities(books)
            found = {key: getattr(books, key) for key in expected}
            assert found == expected, f"found {found}, expected {expected}"
            return books

        return eventually(matches, f"{expected}")

    def check(self):
        """All identities of books at rest, across every list that the daemon shows.

        The lists are read one after the other: a slab may go back to the device in between.
        """

        def agrees():
            books = self.books()
            identities(books)
            layout(self.slabs(), self.leases(), books)
            sessions = self.sessions()
            assert sum(row["in_use_bytes"] for row in sessions) == books.in_use
            assert sum(row["idle_bytes"] for row in sessions) == books.idle
            assert sum(row["quarantined_bytes"] for row in sessions) == books.quarantined
            assert sum(row["cache_bytes"] for row in sessions) == books.cache_bytes
            return books

        return eventually(agrees, "the lists agree", timeout=5)


class Workshop:
    """A test's daemons, with the directory that holds their sockets and logs."""

    def __init__(self, **flags):
        self.flags = flags
        self.root = Path(tempfile.mkdtemp(prefix="nvcv-e2e-"))
        self.root.chmod(0o755)
        self.daemons = []

    def daemon(self, **flags):
        directory = self.root / str(len(self.daemons))
        directory.mkdir()
        flags = {
            "capacity": 64 * MIB,
            "limit": 64 * MIB,
            "slab_size": 4 * MIB,
            "trim_after": "1h",
            "keep_time": "1h",
            **self.flags,
            **flags,
        }
        daemon = Daemon.__new__(Daemon)
        self.daemons.append(daemon)
        daemon.__init__(directory, **flags)
        return daemon

    def close(self):
        """Ends everything; what went wrong with a daemon that should be well (M5: nobody can abort it)."""
        trouble = []
        while children:
            kill_child(children.pop())
        for daemon in self.daemons:
            if daemon.process is None:
                continue
            alive = daemon.process.poll() is None
            if alive and daemon.expected_exit == 0:
                try:
                    identities(daemon.books())
                except Exception as error:
                    trouble.append(f"books at the end: {error}")
            for client in daemon.clients:
                client.close()
            if not alive:
                if daemon.process.returncode not in (daemon.expected_exit, -signal.SIGKILL):
                    trouble.append(f"the daemon exited {daemon.process.returncode}")
                continue
            daemon.process.terminate()
            try:
                code = daemon.process.wait(DEADLINE)
                if code != daemon.expected_exit:
                    trouble.append(f"the daemon exited {code} on SIGTERM")
            except subprocess.TimeoutExpired:
                daemon.kill()
                trouble.append(f"the daemon was still there {DEADLINE} s after SIGTERM")
        return trouble

    def logs(self):
        return [
            (path, path.read_text(errors="replace")[-6000:])
            for path in sorted(self.root.rglob("*.log"))
            if path.stat().st_size
        ]

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)
