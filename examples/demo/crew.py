"""The workers of one act: processes that are told bursts of frames line by line, and what they answered."""

import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
DEADLINE = 60.0


@dataclass(frozen=True)
class Frame:
    job: int
    photo: int
    box: tuple[int, int, int, int]


class WorkerError(Exception):
    pass


@dataclass
class Worker:
    name: str
    command: list[str]
    environment: dict[str, str]
    checksums: list[tuple[int, int]] = field(default_factory=list)
    hits: int = 0
    misses: int = 0

    def __post_init__(self):
        self.process = subprocess.Popen(
            self.command,
            env=self.environment | {"NVCV_CACHED_NAME": self.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.killed = False
        self._answers = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self):
        return self.process.pid

    def _read(self):
        for line in self.process.stdout:
            self._answers.put(line.split())
        self._answers.put(None)

    def tell(self, *words):
        try:
            print(*words, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            if not self.killed:
                raise WorkerError(f"{self.name} has gone: exit {self.process.wait()}") from None

    def answer(self, *verbs, timeout=DEADLINE):
        """The next answer, which must begin with one of `verbs`; None from a worker that was killed on purpose."""
        try:
            words = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise WorkerError(f"{self.name} did not answer within {timeout:.0f} s") from None
        if words is None and self.killed:
            return None
        if words is None or words[0] not in verbs:
            raise WorkerError(f"{self.name} answered {words}, exit {self.process.poll()}")
        return words

    def begin(self, photos, frames, save=None):
        """Tells a burst: decode, process, keep the last ones; `save` maps jobs to files for their first result."""
        unsaved = dict(save or {})
        for photo in sorted({frame.photo for frame in frames}):
            self.tell("photo", photo, photos[photo])
        for frame in frames:
            self.tell("frame", frame.job, frame.photo, *frame.box)
            if frame.job in unsaved:
                self.tell("save", frame.job, unsaved.pop(frame.job))

    def collect(self, frames, progress):
        """Takes the burst's answers. False: the worker was killed."""
        for _ in frames:
            words = self.answer("frame")
            if words is None:
                return False
            self.checksums.append((int(words[1]), int(words[2])))
            progress(self.name)
        return True

    def end(self):
        """The worker drops everything that the burst kept."""
        self.tell("end")
        words = self.answer("end")
        if words is not None:
            self.hits, self.misses = int(words[1]), int(words[2])

    def burst(self, photos, frames, progress, save=None):
        self.begin(photos, frames, save)
        if self.collect(frames, progress):
            self.end()

    def kill(self):
        self.killed = True
        self.process.kill()

    def close(self):
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.returncode != 0 and not self.killed:
            raise WorkerError(f"{self.name} ended with exit {self.process.returncode}")


def hire(daemons, binaries):
    """Two workers in Python and two in C++, in turn; `daemons` is one for all, or one for each."""
    commands = {
        "python": [sys.executable, str(HERE / "worker.py")],
        "c++": [str(binaries / "demo_worker")],
    }
    names = ["python-1", "c++-1", "python-2", "c++-2"]
    daemons = daemons * len(names) if len(daemons) == 1 else daemons
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return [
        Worker(name, commands[name.split("-")[0]], daemon.environment() | quiet)
        for name, daemon in zip(names, daemons, strict=True)
    ]


class Turns:
    """Bursts out of phase: the workers in turn, `at_once` of them working while the others rest."""

    def __init__(self, workers, at_once=2):
        self._workers = workers
        self._at_once = at_once

    def run(self, rounds, burst):
        """Calls `burst(worker number, round)` for all, and returns the seconds that it took."""
        start = time.monotonic()
        turns = iter([(number, turn) for turn in range(rounds) for number in range(len(self._workers))])
        next_turn, failures = threading.Lock(), []
        busy = [threading.Lock() for _ in self._workers]

        def take_turns():
            while not failures:
                with next_turn:
                    number, turn = next(turns, (None, None))
                    if number is None:
                        return
                    busy[number].acquire()
                try:
                    burst(number, turn)
                except WorkerError as error:
                    failures.append(error)
                finally:
                    busy[number].release()

        threads = [threading.Thread(target=take_turns) for _ in range(self._at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return time.monotonic() - start
