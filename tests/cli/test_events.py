"""`nvcv-cachectl events`: what the daemon remembers of its log, then each line as it comes."""

import json
import os
import signal
import subprocess

import pytest
from conditions import BIN, MIB, clean_environment, eventually, process_state
from control import control

LINES = 1024  # that the daemon remembers


@pytest.fixture
def daemon(workshop):
    made = workshop.daemon()
    made.say = lambda *args, **kwargs: control("--address", made.socket, *args, **kwargs)
    return made


class Follower:
    """`events` as it runs, its lines in a file."""

    def __init__(self, daemon, *args):
        self.file = daemon.directory / "events"
        self.process = subprocess.Popen(
            [str(BIN / "nvcv-cachectl"), "--address", str(daemon.socket), "events", *args],
            stdout=open(self.file, "w"),
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )

    def text(self):
        return self.file.read_text()


@pytest.fixture
def follow(daemon):
    made = []

    def start(*args):
        made.append(Follower(daemon, *args))
        return made[-1]

    yield start
    for follower in made:
        follower.process.kill()
        follower.process.wait(20)


def test_events_PastOnesAsInTheLog(daemon):
    daemon.say("limit", "32MiB")
    shown = daemon.say("events", "--past")
    assert shown.returncode == 0, shown
    assert shown.stdout == daemon.log_text(), "time, level and text are the log's own"
    rows = [json.loads(line) for line in daemon.say("events", "--past", "-o", "json").stdout.splitlines()]
    ready = next(row for row in rows if row["event"] == "ready")
    assert ready["level"] == "info" and ready["fields"]["socket"] == str(daemon.socket) and ready["lost"] == 0
    assert len(daemon.say("events", "--past", "-n", "2").stdout.splitlines()) == 2


def test_events_ComeAsTheyAreLogged(daemon, follow):
    follower = follow()
    eventually(lambda: "ready " in follower.text(), "the past is shown")
    daemon.say("limit", "16MiB")
    eventually(lambda: "16.0MiB" in follower.text(), "the change is shown")
    assert daemon.terminate() == 0
    assert follower.process.wait(20) == 4
    assert "drain why=SIGTERM" in follower.text()
    assert "has left" in follower.process.stderr.read()


def test_events_NEndsAfterSoMany(daemon, follow):
    before = len(daemon.say("events", "--past").stdout.splitlines())
    follower = follow("-n", str(before + 1))
    eventually(lambda: len(follower.text().splitlines()) == before, "the past is shown")
    daemon.say("limit", "16MiB")
    assert follower.process.wait(20) == 0
    assert len(follower.text().splitlines()) == before + 1


def test_events_ASlowReaderLosesLinesAndIsTold(daemon, follow):
    probe = daemon.probe("holder")
    for _ in range(15):
        probe.buffer(4 * MIB)  # many slabs: many lines in each snapshot
    follower = follow("-o", "json")
    eventually(lambda: "ready" in follower.text(), "the past is shown")
    os.kill(follower.process.pid, signal.SIGSTOP)
    eventually(lambda: process_state(follower.process.pid) in "Tt", "stopped")

    def flooded():
        daemon.process.send_signal(signal.SIGUSR1)
        return daemon.log_text().count("\n") > 12 * LINES

    eventually(flooded, "more lines than the ring and all buffers hold", timeout=60)
    written = daemon.log_text().count("\n")
    os.kill(follower.process.pid, signal.SIGCONT)
    daemon.say("limit", "16MiB")

    def rows():
        return [json.loads(line) for line in follower.text().splitlines(True) if line.endswith("\n")]

    eventually(lambda: rows()[-1]["event"] == "limit", "it has caught up")
    lost = sum(row["lost"] for row in rows())
    assert lost > 0 and lost + len(rows()) >= written, (lost, len(rows()), written)
    assert daemon.say("ping").returncode == 0


def test_events_WithoutADaemon(daemon):
    daemon.terminate()
    assert daemon.say("events").returncode == 4
