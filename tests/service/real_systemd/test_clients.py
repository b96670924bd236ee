"""Who may connect, and what clients notice of a stop and a restart."""

import os
import signal

from conditions import eventually, fails
from machine import (
    MIB,
    SERVICE,
    SETTINGS,
    active,
    command,
    cursor,
    messages,
    pid,
    ready,
    restarts,
    run,
    shell,
    show,
    systemctl,
    write,
)


def test_WhoIsInTheGroupConnects(service, client):
    shell("usermod -aG nvcv alice")
    one = client("alice")
    item = one.buffer(MIB)
    one.call("fill", item, 7)
    assert one.call("check", item, 7)["wrong"] == 0
    assert "alice" in shell("nvcv-cachectl sessions")
    assert shell("nvcv-cachectl status --no-headers", "alice").startswith("host")


def test_AnotherIsRefused_WithTheLineThatMendsIt(service, client):
    line = "usermod -aG nvcv bob"
    with fails("PermissionDenied") as error:
        client("bob").buffer(MIB)
    assert line in error.text
    found = command("runuser", "--login", "bob", "-c", "nvcv-cachectl status")
    assert found.returncode == 5 and line in found.stderr, found
    doctor = command("runuser", "--login", "bob", "-c", "nvcv-cachectl doctor")
    assert doctor.returncode == 1 and line in doctor.stdout, doctor


def test_DoctorIsContentForRootAndForTheGroup(service):
    for user in (None, "alice"):
        text = shell("nvcv-cachectl doctor", user)
        assert "FAIL" not in text, text


def test_OnlyRootAndTheDaemonsUserChangeIt(service):
    found = command("runuser", "--login", "alice", "-c", "nvcv-cachectl limit 100MiB")
    assert found.returncode == 5, found
    shell("nvcv-cachectl limit 100MiB")
    assert "100MiB" in run("runuser", "-u", "nvcv", "--", "nvcv-cachectl", "limit")


def test_Restart_UnderLoad(service, client):
    """Objects in use stay as they are, calls wait for the next daemon."""
    one = client("alice", NVCV_CACHED_TIMEOUT="60s")
    item = one.buffer(MIB)
    one.call("fill", item, 7)
    one.call("thread", "load")
    load = one.start("churn", 1, 8, MIB, thread="load")
    eventually(lambda: one.call("stats", "process")["misses"] > 8, "it runs")
    before = pid()
    shell("systemctl restart nvcv-cached@host")
    assert pid() != before and restarts() == 0
    eventually(lambda: "1 sessions" in show(service, "StatusText"), "the client found the next one", timeout=60)
    one.call("halt")
    result = load.result(60)
    assert result["wrong"] == 0 and not result["errors"], result
    assert one.call("check", item, 7)["wrong"] == 0


def test_Restart_ClientsThatMayStartADaemonWaitForTheServices(service, client):
    one = client("alice", NVCV_CACHED_AUTOSTART="1", NVCV_CACHED_TIMEOUT="60s")
    one.call("thread", "load")
    load = one.start("churn", 1, 8, MIB, thread="load")
    eventually(lambda: one.call("stats", "process")["misses"] > 8, "it runs")
    systemctl("restart", service)
    seen = one.call("stats", "process")["misses"]
    eventually(lambda: one.call("stats", "process")["misses"] > seen + 8, "it goes on")
    one.call("halt")
    assert not load.result(60)["errors"]
    assert command("pgrep", "-u", "alice", "-x", "nvcv-cached").returncode == 1, "alice has a daemon of her own"


def test_Stop_Drains(service, client):
    """It says what it waits for, and ends with 0 when the last byte is back."""
    one = client("alice", "holder")
    item = one.buffer(MIB)
    start = cursor()
    systemctl("stop", "--no-block", service)
    eventually(lambda: "draining, 1.00MiB in use" in show(service, "StatusText"), "it drains")
    assert active(service) == "deactivating"
    assert "holder" in shell("nvcv-cachectl sessions")
    one.call("drop", item)
    eventually(lambda: active(service) == "inactive", "it left")
    assert (show(service, "Result"), show(service, "ExecMainStatus")) == ("success", "0")
    assert "stopped" in messages(after=start)
    with fails("Unavailable"):
        one.buffer(2 * MIB)
    found = command("nvcv-cachectl", "status")
    assert found.returncode == 4 and "systemctl start nvcv-cached@host" in found.stderr, found


def test_Stop_EndsAtItsTimeout_AndTheMemoryStaysValid(service, client):
    """The manager's patience (45 s) is longer than the daemon's (30 s): nobody is killed."""
    one = client("alice", "holder")
    item = one.buffer(MIB)
    one.call("fill", item, 9)
    start = cursor()
    run("systemctl", "stop", service, timeout=60)
    assert (show(service, "Result"), show(service, "ExecMainStatus")) == ("success", "0")
    assert "drain-timeout" in messages(after=start) and "holder pid" in messages(after=start)
    assert one.call("check", item, 9)["wrong"] == 0


def test_Stop_WaitsForALongerDrainTimeout(service, client):
    """A daemon that drains for longer than TimeoutStopSec asks for more time."""
    write(SETTINGS, 'drain-timeout = "55s"\n')
    systemctl("restart", service)
    one = client("alice", "holder")
    one.buffer(MIB)
    start = cursor()
    run("systemctl", "stop", service, timeout=90)
    assert (show(service, "Result"), show(service, "ExecMainStatus")) == ("success", "0")
    assert "timed out" not in messages(after=start)


def test_Snapshot_IsInTheJournal(service):
    start = cursor()
    os.kill(pid(), signal.SIGUSR1)
    eventually(lambda: "snapshot" in messages(after=start), "a snapshot")
    ready(SERVICE)
