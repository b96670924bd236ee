"""The daemon's life: lock and epoch, signals, reload, leaving when idle, the service manager, the log."""

import json
import resource
import signal
import subprocess

from conditions import DEADLINE, MIB, eventually


def test_lock_EachDaemonHasItsEpoch(workshop):
    daemon = workshop.daemon()
    first = daemon.books().epoch
    daemon.terminate()
    daemon.start()
    assert daemon.books().epoch == first + 1
    daemon.kill()
    daemon.start()
    assert daemon.books().epoch == first + 2


def test_lock_IsPerDeviceAndDirectory(workshop):
    daemon = workshop.daemon()
    second = subprocess.run(
        daemon.command(socket=daemon.directory / "other.sock"), capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 3, second
    assert f"pid {daemon.process.pid}" in second.stderr and str(daemon.socket) in second.stderr, second.stderr
    workshop.daemon()  # in a directory of its own there may be another


def test_lock_OneThatIsNotOursIsNoEpoch(workshop):
    daemon = workshop.daemon()
    daemon.terminate()
    lock = daemon.directory / "host.sock.lock"
    lock.write_text("something else\n")
    result = subprocess.run(daemon.command(), capture_output=True, text=True, timeout=30)
    assert result.returncode == 5 and str(lock) in result.stderr, result
    lock.unlink()


def test_socket_GoesWithItsDaemon(workshop):
    daemon = workshop.daemon()
    assert daemon.socket.stat().st_mode & 0o777 == 0o600
    assert daemon.terminate() == 0
    assert not daemon.socket.exists() and not (daemon.directory / "host.sock.fd").exists()


def test_reload_SaysWhatChangedAndWhatNeedsARestart(workshop):
    daemon = workshop.daemon()
    file = daemon.start_from_file('limit = "8MiB"\n')
    daemon.ctl("limit", "2MiB")
    assert daemon.books().raw["settings"]["limit"] == {"value": 2 * MIB, "origin": "runtime"}
    file.write_text('limit = "4MiB"\npolicy = "clear"\nquota = "3MiB"\nmax-sessions = 1\ndomain = "shared"\n')
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.books().limit == 4 * MIB, "the new limit is in force")
    settings = daemon.books().raw["settings"]
    assert settings["limit"] == {"value": 4 * MIB, "origin": "file"}
    assert settings["policy"]["value"] == "clear" and settings["quota"]["value"] == 3 * MIB
    assert settings["domain"]["value"] == "uid"
    eventually(lambda: "needs_restart=domain" in daemon.log_text(), "the log says so")
    assert "limit=4.00MiB" in daemon.log_text()


def test_reload_ASessionsOwnQuotaLastsAsLongAsTheSession(workshop):
    daemon = workshop.daemon()
    file = daemon.start_from_file('quota = "8MiB"\n')
    a = daemon.probe("a")
    a.buffer(MIB)
    daemon.ctl("quota", "5MiB", "--session", daemon.session(a)["id"])
    daemon.ctl("quota", "6MiB")
    file.write_text('quota = "7MiB"\n')
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.books().raw["settings"]["quota"]["value"] == 7 * MIB, "the file's quota is in force")
    assert daemon.session(a)["quota_bytes"] == 5 * MIB


def test_reload_ABadFileIsCountedAndChangesNothing(workshop):
    daemon = workshop.daemon()
    file = daemon.start_from_file('limit = "8MiB"\n')
    before = daemon.books().raw["settings"]
    file.write_text('policy = "clear"\nlimit = "4G"\n')
    for times in (1, 2):
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda n=times: f"reload result=refused failed={n}" in daemon.log_text(), "counted")
    assert f"{file}:2" in daemon.log_text()
    assert daemon.books().raw["settings"] == before


def test_snapshot_OnUsr1(workshop):
    daemon = workshop.daemon()
    a = daemon.probe("holder")
    a.buffer(MIB)
    daemon.process.send_signal(signal.SIGUSR1)
    eventually(lambda: "snapshot-slab" in daemon.log_text(), "the snapshot is in the log")
    text = daemon.log_text()
    assert f"in_use={MIB}" in text and f"pid={a.pid}" in text and "name=holder" in text


def test_idle_LeavesWhenNobodyIsConnected(workshop):
    daemon = workshop.daemon(idle_exit="2s")
    a = daemon.probe("a")
    a.buffer(MIB)
    for _ in range(3):  # who looks is not who is connected, and who is connected holds it
        assert daemon.books().sessions == 1
    assert daemon.process.poll() is None
    a.kill()
    assert daemon.process.wait(DEADLINE) == 0
    assert "leave why=idle" in daemon.log_text() and not daemon.socket.exists()


def test_idle_NobodyEverCame(workshop):
    daemon = workshop.daemon()
    daemon.terminate()
    daemon.flags["idle_exit"] = "100ms"
    daemon.start(wait=False)
    assert daemon.process.wait(DEADLINE) == 0


def test_drain_WhatIsReleasedMeanwhileGoesBackToo(workshop):
    """New items of old sessions do not keep a leaving daemon."""
    daemon = workshop.daemon(drain_timeout="20s")
    a = daemon.probe("a")
    first = a.buffer(MIB)
    daemon.process.terminate()
    eventually(lambda: daemon.books().raw["state"] == "draining", "draining")
    second = a.buffer(2 * MIB)
    a.drop(second)
    daemon.quiet(in_use=MIB, idle=0)
    assert daemon.process.poll() is None
    a.drop(first)
    assert daemon.process.wait(DEADLINE) == 0


def test_drain_IntIsTermToo(workshop):
    daemon = workshop.daemon()
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.process.wait(DEADLINE) == 0


def test_last_StatisticsOutliveTheDaemon(workshop):
    daemon = workshop.daemon()
    a = daemon.probe("a")
    a.idle(MIB)
    a.call("loop", 10, MIB)
    a.kill()
    totals = daemon.quiet(sessions=0).totals
    daemon.terminate()
    last = daemon.json("stats", "--last")
    assert last["totals"]["hits"] == totals["hits"] > 0
    assert last["totals"]["misses"] == totals["misses"]


def test_log_JsonAndLevels(workshop):
    daemon = workshop.daemon(log_format="json")
    daemon.probe('quo"te').buffer(MIB)
    lines = [json.loads(line) for line in daemon.log_text().splitlines()]
    assert lines[0]["event"] == "start" and lines[0]["pid"] == daemon.process.pid and "ts" in lines[0]
    eventually(lambda: "session-open" in daemon.log_text(), "the session is in the log")
    quiet = workshop.daemon(log_level="error")
    assert quiet.log_text() == ""


def test_descriptors_TheLimitIsRaised(workshop):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        daemon = workshop.daemon()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE) == (before[1], before[1])
