"""Work on threads that end when the test says so."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conditions import eventually


class Worker:
    """A thread that does one thing after the other, and has ended after `with`.

    Python's join returns before what a thread does at its end in C++; the kernel's list of threads knows better.
    """

    def __enter__(self):
        self.pool = ThreadPoolExecutor(1)
        self.place = Path("/proc/self/task") / str(self.do(threading.get_native_id))
        return self

    def do(self, work):
        """What `work` returns or raises."""
        return self.pool.submit(work).result(60)

    def __exit__(self, *_):
        self.pool.shutdown()
        eventually(lambda: not self.place.exists(), "the thread has ended")


def in_thread(work):
    with Worker() as one:
        return one.do(work)
