"""What a call takes while several threads of one interpreter make it."""

import threading
import time


def wall_per_call(run, count, calls):
    """Microseconds from the first thread's begin to the last one's end, by all calls; `run(n)` makes n of them.

    Each thread reads the clock itself: who waits for them from outside gets the interpreter's lock late."""
    barrier, spans = threading.Barrier(count), []

    def work():
        run(10)
        barrier.wait()
        begin = time.perf_counter()
        run(calls)
        spans.append((begin, time.perf_counter()))

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begins, ends = zip(*spans, strict=True)
    return (max(ends) - min(begins)) / (count * calls) * 1e6
