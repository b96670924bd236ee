"""A service manager as a daemon sees it: the notification socket, and one of its threads stopped."""

import ctypes
import os
import socket
import time
from pathlib import Path

from conditions import DEADLINE

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 17, 0x4206, 0x4207, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Manager:
    """Listens at NOTIFY_SOCKET; `until` reads messages, each as a dictionary, up to the first that fits."""

    def __init__(self, directory, watchdog_usec=None):
        self.address = str(directory / "notify.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.socket.settimeout(DEADLINE)
        self.environment = {"NOTIFY_SOCKET": self.address}
        if watchdog_usec:
            self.environment["WATCHDOG_USEC"] = str(watchdog_usec)

    def message(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def until(self, **wanted):
        """The messages up to one that has these fields; a value is its beginning."""
        seen = []
        end = time.monotonic() + DEADLINE
        while True:
            assert time.monotonic() < end, f"no {wanted} in {seen[-10:]}"
            seen.append(self.message())
            if all(seen[-1].get(key, "\0").startswith(value) for key, value in wanted.items()):
                return seen

    def close(self):
        self.socket.close()


def threads(pid):
    """Thread id -> name."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {int(task.name): (task / "comm").read_text().strip() for task in tasks}


class StoppedThreads:
    """Some threads of a child, stopped while the others run: a hang as real as they come."""

    def __init__(self, tids):
        self.tids = []
        for tid in tids:
            self._ptrace(PTRACE_SEIZE, tid)
            self.tids.append(tid)
            self._ptrace(PTRACE_INTERRUPT, tid)
            os.waitpid(tid, WALL)

    def resume(self):
        while self.tids:
            self._ptrace(PTRACE_DETACH, self.tids.pop())

    @staticmethod
    def _ptrace(request, tid):
        if libc.ptrace(request, tid, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace({request:#x}, {tid}): {os.strerror(ctypes.get_errno())}")
