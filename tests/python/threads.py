"""Work on a thread of its own."""

from concurrent.futures import ThreadPoolExecutor


def in_thread(work):
    """What `work` returns or raises; its thread has ended then."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(60)
