"""The manager mends what ends or hangs."""

import os
import signal

from conditions import eventually
from machine import MIB, active, cursor, messages, pid, ready, restarts, shell, show


def test_Killed_IsStartedAgain(service, client):
    one = client("alice")
    item = one.buffer(MIB)
    one.call("fill", item, 7)
    before, seen = pid(), restarts()
    os.kill(before, signal.SIGKILL)
    eventually(lambda: restarts() > seen and active(service) == "active", "started again", timeout=30)
    assert pid() != before
    one.buffer(2 * MIB)  # within its deadline
    assert one.call("check", item, 7)["wrong"] == 0


def test_Stopped_IsEndedByTheWatchdogAndStartedAgain(service, client):
    one = client("alice")
    item = one.buffer(MIB)
    one.call("fill", item, 7)
    before, seen, start = pid(), restarts(), cursor()
    os.kill(before, signal.SIGSTOP)
    eventually(lambda: restarts() > seen and active(service) == "active", "started again", timeout=60)
    assert "watchdog" in messages(after=start).lower()
    assert pid() != before
    eventually(lambda: one.buffer(2 * MIB), "the next one serves")
    assert one.call("check", item, 7)["wrong"] == 0


def test_TheLastStatisticsAreKept(service):
    """What it did before it ended is there when it is gone."""
    shell("systemctl stop nvcv-cached@host")
    assert "hits" in shell("nvcv-cachectl stats --last -d host")
    shell("systemctl start nvcv-cached@host")
    ready()
    assert show(service, "NRestarts") == "0"
