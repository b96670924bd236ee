"""The three acts: four private caches, one shared cache, and one shared cache while workers fail."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass

import crew
import memory
import pipeline
from photos import boxes

ROUNDS = 4
FRAMES = 36  # of one burst: PASSES over CROPS of PHOTOS_AT_ONCE photographs
PASSES = 3
PHOTOS_AT_ONCE = 3
CROPS = 4  # of each photograph; all workers make the same ones
FAULT_FRAMES = {"python-1": 3 * FRAMES, "c++-1": 3 * FRAMES, "python-2": 2 * FRAMES, "c++-2": 2 * FRAMES}
KEEP = 8 << 20
# Bursts last about a second here: what was idle for a frame's time may serve the next burst.
SETTINGS = {"capacity": "2GiB", "limit": "1GiB", "slab_size": "16MiB", "keep_time": "20ms"}


@dataclass
class Outcome:
    name: str
    peak: int
    seconds: float
    hits: int
    misses: int
    frames: int
    memory: memory.Memory

    @property
    def hit_percent(self):
        return 100.0 * self.hits / max(1, self.hits + self.misses)


class Plan:
    """Which frames a worker does in a round: others' photographs at each moment, all of them in the end."""

    def __init__(self, photos):
        self.photos = photos
        crops = [boxes(photo, CROPS, number) for number, photo in enumerate(photos)]
        self.frames = [
            crew.Frame(number * CROPS + crop, number, box)
            for number, made in enumerate(crops)
            for crop, box in enumerate(made)
        ]

    def burst(self, worker, turn):
        first = (worker * 2 + turn * PHOTOS_AT_ONCE) % len(self.photos)
        chosen = [(first + step) % len(self.photos) for step in range(PHOTOS_AT_ONCE)]
        return [frame for photo in chosen for frame in self.frames if frame.photo == photo] * PASSES


def expected(plan, progress):
    """The checksum of each job, from plain NumPy arrays."""
    import numpy as np
    from PIL import Image

    steps = pipeline.Pipeline(np.empty)
    checksums = {}
    for photo, path in enumerate(plan.photos):
        with Image.open(path) as file:
            image = np.asarray(file)
        for frame in plan.frames:
            if frame.photo == photo:
                checksums[frame.job] = steps.checksum(steps.process(image, frame.box))
                progress("NumPy")
    return checksums


def differences(workers, checksums):
    """What differs from NumPy: (worker, job) pairs."""
    return [
        (worker.name, job) for worker in workers for job, checksum in worker.checksums if checksum != checksums[job]
    ]


@contextlib.contextmanager
def hired(daemons, binaries):
    workers = crew.hire(daemons, binaries)
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


def steady(name, daemons, binaries, plan, progress, save):
    """All workers, in bursts out of phase. Returns the outcome and the workers, whose checksums are to check."""
    with hired(daemons, binaries) as workers, memory.Memory(daemons, [w.name for w in workers]) as watched:
        seconds = crew.Turns(workers).run(
            ROUNDS,
            lambda number, turn: workers[number].burst(
                plan.photos, plan.burst(number, turn), progress, save(workers[number].name)
            ),
        )
    outcome = Outcome(
        name,
        watched.peak,
        seconds,
        sum(worker.hits for worker in workers),
        sum(worker.misses for worker in workers),
        sum(len(worker.checksums) for worker in workers),
        watched,
    )
    return outcome, workers


def eventually(condition, what, timeout=20.0):
    end = time.monotonic() + timeout
    while True:
        found = condition()
        if found is not None:
            return found
        if time.monotonic() > end:
            raise crew.WorkerError(f"not within {timeout:.0f} s: {what}")
        time.sleep(0.01)  # between two looks


def mib(size):
    return f"{size / 2**20:,.0f} MiB"


def faults(daemon, binaries, plan, progress, map_path):
    """One worker is stopped for a while and one is killed; returns what was seen, the workers, the memory.

    The memory map is that of the moment in which one is stopped and the others hold what they work on.
    """
    told = []
    with hired([daemon], binaries) as workers, memory.Memory([daemon], []) as watched:
        python, cpp, stopped, killed = workers

        # Everybody works once; the one to be stopped keeps a little in use and leaves the rest idle.
        for number, worker in enumerate(workers):
            worker.burst(plan.photos, plan.burst(number, 0), progress)
        stopped.tell("keep", KEEP)
        stopped.answer("kept")
        before = memory.session_of(daemon, stopped.pid)
        os.kill(stopped.pid, signal.SIGSTOP)
        watched.mark(f"{stopped.name} stopped")

        # The others hold their bursts at the same time, and need more than they had.
        holding = [(python, plan.burst(2, 1)), (cpp, plan.burst(3, 2)), (killed, plan.burst(1, 3))]
        for worker, frames in holding:
            worker.begin(plan.photos, frames)
        for worker, frames in holding:
            worker.collect(frames, progress)
        after = memory.session_of(daemon, stopped.pid)
        told.append(
            f"{stopped.name} (pid {stopped.pid}) stopped: in use {mib(before['in_use_bytes'])} -> "
            f"{mib(after['in_use_bytes'])}, idle {mib(before['idle_bytes'])} -> {mib(after['idle_bytes'])}: "
            f"{mib(before['idle_bytes'] - after['idle_bytes'])} went to the others while it stood still"
        )

        memory.save_map(daemon, map_path)

        # One of those that hold a burst dies with it.
        held = memory.session_of(daemon, killed.pid)
        watched.mark(f"{killed.name} killed")
        start = time.monotonic()
        killed.kill()
        eventually(
            lambda: True if memory.session_of(daemon, killed.pid) is None else None,
            "the dead one's memory is free",
        )
        told.append(
            f"{killed.name} (pid {killed.pid}) killed with {mib(held['in_use_bytes'] + held['idle_bytes'])} in its "
            f"hands: all of it free again within {(time.monotonic() - start) * 1000:.0f} ms"
        )

        # Life goes on: the stopped one wakes up with what it held intact, and all work on.
        for worker in (python, cpp):
            worker.end()
        os.kill(stopped.pid, signal.SIGCONT)
        watched.mark(f"{stopped.name} continues")
        stopped.tell("check")
        intact = stopped.answer("intact", "spoilt")[0] == "intact"
        for number, worker in enumerate((python, cpp, stopped)):
            worker.burst(plan.photos, plan.burst(number, 4), progress)
        told.append(f"{stopped.name} continued: what it held is {'intact' if intact else 'SPOILT'}, and it works on")
    return told, intact, workers, watched
