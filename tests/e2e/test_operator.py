"""What the operator does: two daemons, wrong settings, limits under load, drain, permissions."""

import os
import random
import signal
import subprocess

import pytest
from books import identities
from conditions import BIN, KIB, LONG, MIB, clean_environment, eventually, fails

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="another uid needs root")


def run(command):
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30, env=clean_environment())


def test_second_DaemonExitsAndNamesTheFirst(daemon):
    a = daemon.probe("a")
    a.buffer(MIB)
    second = run(daemon.command())
    assert second.returncode == 3, second
    assert str(daemon.process.pid) in second.stderr and str(daemon.socket) in second.stderr, second.stderr
    a.buffer(2 * MIB)  # the first's socket is still its own
    daemon.quiet(in_use=3 * MIB)


def test_second_DaemonTakesOverAfterAKill(daemon):
    """The lock goes with its process; a stale socket is no obstacle."""
    daemon.kill()
    assert daemon.socket.exists()
    daemon.start()
    daemon.probe("a").buffer(MIB)


@pytest.mark.parametrize(
    "flags, named",
    [
        ({"limit": "8G"}, "limit"),
        ({"capacity": "much"}, "capacity"),
        ({"policy": "fifo"}, "policy"),
        ({"quota": "-5"}, "quota"),
        ({"slab_size": "0"}, "slab-size"),
        ({"trim_after": "soon"}, "trim-after"),
    ],
)
def test_settings_BadValueNamesTheFlag(workshop, flags, named):
    daemon = workshop.daemon()
    result = run(daemon.command(socket=daemon.directory / "other.sock", **flags))
    assert result.returncode == 2, result
    assert named in result.stderr and next(iter(flags.values())) in result.stderr, result.stderr


def test_settings_UnknownFlagAndUnknownKey(workshop):
    daemon = workshop.daemon()
    assert run([*daemon.command(), "--no-such-flag=1"]).returncode == 2
    file = daemon.directory / "bad.toml"
    file.write_text('policy = "lru"\nlimmit = "1GiB"\n')
    result = run([str(BIN / "nvcv-cached"), "--device=host", f"--config={file}", "--check-config"])
    assert result.returncode == 2, result
    assert "limmit" in result.stderr and "bad.toml" in result.stderr and "2" in result.stderr, result.stderr


def test_settings_PathTooLong(workshop):
    daemon = workshop.daemon()
    path = "/tmp/" + "x" * 110 + ".sock"
    result = run(daemon.command(socket=path))
    assert result.returncode in (2, 5) and "102" in result.stderr, result.stderr
    with fails("InvalidArgument") as caught:
        daemon.probe("a").call("connect", path, 1000)
    assert "102" in caught.text


def test_address_NotADaemonBehindTheSocket(workshop):
    """A socket that something else listens on: an error within the deadline, not a hang."""
    import socket

    daemon = workshop.daemon()
    path = daemon.directory / "imposter.sock"
    with socket.socket(socket.AF_UNIX) as imposter:
        imposter.bind(str(path))
        imposter.listen()
        with fails("Unavailable", "DeadlineExceeded"):
            daemon.probe("a").call("connect", path, 500)


@needs_root
def test_permission_AnotherUid(daemon):
    with fails("PermissionDenied") as caught:
        daemon.probe("stranger", user=12001, group=12001).buffer(MIB)
    assert "12001" in caught.text and str(daemon.socket) in caught.text, caught.text


@needs_root
def test_permission_ReadersMayNotChange(workshop):
    daemon = workshop.daemon(mode="0666")
    command = [str(BIN / "nvcv-cachectl"), "--address", str(daemon.socket)]
    as_guest = {
        "user": 12001,
        "group": 12001,
        "capture_output": True,
        "text": True,
        "timeout": 30,
        "env": clean_environment(),
    }
    assert subprocess.run([*command, "stats"], check=False, **as_guest).returncode == 0
    refused = subprocess.run([*command, "limit", "1MiB"], check=False, **as_guest)
    assert refused.returncode == 5, refused
    assert daemon.books().limit == 64 * MIB


def test_version_NoCommonOne(daemon):
    liar = daemon.liar()
    liar.open(protocol_min=98, protocol_max=99)
    status = liar.status()
    assert status["status"] == 9, status
    assert "98" in status["text"] and "99" in status["text"] and "1" in status["text"], status
    daemon.quiet(sessions=0)


def test_version_NewerClientThatStillSpeaksOurs(daemon):
    liar = daemon.liar()
    liar.open(protocol_min=1, protocol_max=99)
    assert liar.expect("welcome")["protocol"] == 1


def test_sessions_AreBounded(workshop):
    daemon = workshop.daemon(max_sessions=2)
    a, b = daemon.probe("a"), daemon.probe("b")
    a.buffer(MIB)
    b.buffer(MIB)
    c = daemon.probe("c", env={"NVCV_CACHED_TIMEOUT": "500ms"})
    with fails("Unavailable", "OutOfMemory", "PermissionDenied") as caught:
        c.buffer(MIB)
    assert "2" in caught.text, caught.text
    a.kill()
    daemon.quiet(sessions=1)
    daemon.probe("d").buffer(MIB)


def test_limit_ChangesUnderLoad(workshop):
    """Any limit at any moment: nobody's memory changes, and the cache is never above it."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    daemon = workshop.daemon(capacity=64 * MIB, limit=32 * MIB, keep_time="50ms")
    probes = [daemon.probe(f"p{i}") for i in range(3)]
    running = [p.start("churn", rng.randrange(1 << 30), 8, MIB, thread=p.thread("churn")) for p in probes]
    for _ in range(1000 if LONG else 30):
        limit = rng.choice([0, 4 * KIB, MIB, 8 * MIB, 32 * MIB, 1 << 40])
        assert daemon.json("limit", limit)["cache_bytes"] <= limit
        if rng.random() < 0.3:
            daemon.ctl("policy", rng.choice(["lru", "clear"]))
        if rng.random() < 0.2:
            daemon.ctl("clear")
        if rng.random() < 0.2:
            daemon.ctl("trim")
        identities(daemon.books())
    for probe, future in zip(probes, running, strict=True):
        probe.call("halt")
        result = future.result(60)
        assert result["wrong"] == 0 and not result["errors"], result
    daemon.ctl("limit", 0)
    daemon.quiet(in_use=0, idle=0, cache_bytes=0)
    daemon.ctl("trim")
    daemon.quiet(pool=0, slabs=0)
    daemon.check()


def test_drain_WaitsForTheHoldersAndLeavesTheirMemoryValid(workshop):
    daemon = workshop.daemon(drain_timeout="20s")
    a, b = daemon.probe("a"), daemon.probe("b", env={"NVCV_CACHED_TIMEOUT": "500ms"})
    item = a.buffer(MIB)
    a.fill(item, 4)
    a.idle(2 * MIB)
    daemon.process.terminate()
    daemon.quiet(idle=0, in_use=MIB)  # idle leases are back, the rest is waited for
    assert daemon.books().raw["state"] == "draining"
    with fails("Unavailable"):
        b.buffer(MIB)
    assert daemon.process.poll() is None
    assert a.wrong(item, 4) == 0
    a.drop(item)
    assert daemon.process.wait(20) == 0


def test_drain_EndsAtItsTimeoutAndNamesTheHolders(workshop):
    daemon = workshop.daemon(drain_timeout="300ms")
    a = daemon.probe("holder")
    item = a.buffer(MIB)
    a.fill(item, 4)
    assert daemon.terminate() == 0
    assert "holder" in daemon.log_text() and str(a.pid) in daemon.log_text()
    assert a.wrong(item, 4) == 0


def test_drain_SecondSignalLeavesAtOnce(workshop):
    daemon = workshop.daemon(drain_timeout="1h")
    a = daemon.probe("a")
    item = a.buffer(MIB)
    a.fill(item, 4)
    daemon.process.terminate()
    eventually(lambda: daemon.books().raw["state"] == "draining", "draining")
    assert daemon.terminate() == 0
    assert a.wrong(item, 4) == 0


def test_drain_AndUndrain(daemon):
    a = daemon.probe("a")
    a.buffer(MIB)
    daemon.ctl("drain")
    assert daemon.ctl("ping", check=False).returncode == 3
    with fails("Unavailable"):
        daemon.probe("b", env={"NVCV_CACHED_TIMEOUT": "500ms"}).buffer(MIB)
    daemon.ctl("undrain")
    assert daemon.ctl("ping", check=False).returncode == 0
    daemon.probe("c").buffer(MIB)
    daemon.quiet(in_use=2 * MIB)


def test_reload_BadFileKeepsEverything(workshop):
    daemon = workshop.daemon()
    file = daemon.start_from_file('limit = "8MiB"\n')
    assert daemon.books().limit == 8 * MIB
    file.write_text('limit = "4MiB"\n')
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.books().limit == 4 * MIB, "the new limit is in force")
    file.write_text('limit = "4G"\n')
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: "4G" in daemon.log_text(), "the bad file is logged")
    assert daemon.books().limit == 4 * MIB


def test_reads_StartNoDaemonAndSayWhereTheyLooked(workshop):
    daemon = workshop.daemon()
    address = daemon.directory / "nobody.sock"
    result = run([str(BIN / "nvcv-cachectl"), "--address", str(address), "stats"])
    assert result.returncode == 4, result
    assert str(address) in result.stderr, result.stderr
    a = daemon.probe("a", env={"NVCV_CACHED_ADDRESS": str(address)})
    assert a.call("bytes")["bytes"] == 0
    assert not address.exists()
