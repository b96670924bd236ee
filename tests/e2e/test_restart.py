"""Broken streams that are resumed, and L3: daemons that die and come back."""

import contextlib
import os
import socket
import subprocess
import time

import pytest
from books import identities
from conditions import KIB, LONG, MIB, FailedError, eventually, fails, kill_child


def identity(leases):
    return sorted(
        (row["session"], row["slot"], row["slab"], row["offset"], row["block_bytes"], row["state"]) for row in leases
    )


def attached(daemon, probe):
    row = daemon.session(probe)
    return row is not None and row["state"] == "attached"


def test_resume_LeasesKeepTheirIds(daemon):
    a = daemon.probe("a")
    items = a.buffer(MIB, 4)
    for item in items:
        a.fill(item, item)
    a.idle(2 * MIB)
    before, session = identity(daemon.leases()), daemon.session(a)["id"]
    a.break_stream()
    a.buffer(64 * KIB)
    eventually(lambda: attached(daemon, a), "attached again")
    assert daemon.session(a)["id"] == session
    assert [row for row in identity(daemon.leases()) if row in before] == before
    assert [a.wrong(item, item) for item in items] == [0] * 4
    misses = a.stats()["misses"]
    a.call("loop", 5, 2 * MIB)  # idle entries are still hits
    assert a.stats()["misses"] == misses
    books = daemon.check()
    assert books.totals["sessions"] == 1 and sum(books.totals["sessions_ended"].values()) == 0


def test_resume_WithRequestsUnderWay(daemon):
    """Streams break in the middle of many acquires: none is lost, none is leaked."""
    a = daemon.probe("a")
    a.call("connect")
    session = daemon.session(a)["id"]
    running = [a.start("churn", i, 6, 512 * KIB, thread=a.thread(f"t{i}")) for i in range(4)]
    for _ in range(200 if LONG else 15):
        misses = daemon.session(a)["misses"]
        a.call("break", a.socket)
        eventually(lambda seen=misses: attached(daemon, a) and daemon.session(a)["misses"] > seen + 3, "goes on")
        a.call("clear")  # so that they miss again
    a.call("halt")
    for future in running:
        result = future.result(120)
        assert result["wrong"] == 0 and not result["errors"], result
    assert daemon.session(a)["id"] == session
    daemon.quiet(in_use=0, sessions=1)
    daemon.check()


def test_resume_WhileStoppedIsNotDeath(daemon):
    """A stream that is broken while the process is stopped: everything waits for it."""
    a = daemon.probe("a")
    item = a.buffer(MIB)
    a.fill(item, 3)
    before = identity(daemon.leases())
    a.break_stream()
    a.stop()
    eventually(lambda: daemon.session(a)["state"] in ("attached", "detached"), "still there")
    assert identity(daemon.leases()) == before
    a.resume()
    a.buffer(2 * MIB)
    assert a.wrong(item, 3) == 0
    assert identity(daemon.leases())[:1] == before


def test_resume_NotAfterTheDescriptorSocketBroke(daemon):
    """Without the second half of the proof the session is over: what it held is kept apart until exit."""
    a = daemon.probe("a")
    item = a.buffer(MIB)
    a.fill(item, 3)
    assert a.call("break", f"{a.socket}.fd")["broken"] > 0
    a.break_stream()
    other = eventually(lambda: try_buffer(a, 2 * MIB), "a new session serves")
    assert a.wrong(item, 3) == 0
    daemon.quiet(quarantined=MIB, in_use=2 * MIB)
    a.drop(item, other)
    a.kill()
    daemon.quiet(quarantined=0, in_use=0, sessions=0)


def try_buffer(probe, size_bytes):
    try:
        return probe.buffer(size_bytes)
    except FailedError as error:
        assert error.kind in ("Unavailable", "DeadlineExceeded"), error
        return None


def test_L3_AClientLooksForTheNextDaemonByItselfAndEverMoreSeldom(workshop):
    """The daemon is away for three seconds: somebody else listens in its place and hangs up on all who come."""
    away = 3.0
    daemon = workshop.daemon()
    a = daemon.probe("a")
    a.buffer(MIB)
    end = time.monotonic() + away
    daemon.kill()
    daemon.socket.unlink()
    came = 0
    with socket.socket(socket.AF_UNIX) as instead:
        instead.bind(str(daemon.socket))
        instead.listen(1000)
        while (left := end - time.monotonic()) > 0:
            instead.settimeout(left)
            with contextlib.suppress(TimeoutError):
                instead.accept()[0].close()
                came += 1
    # Waits of at least 37, 75, 150, 300, 600, 1200 ms leave room for seven looks.
    assert 2 <= came <= 7, came
    daemon.socket.unlink()
    daemon.start()
    eventually(lambda: daemon.session(a), "it is back, and was asked for nothing")
    item = a.buffer(MIB)
    a.fill(item, 9)
    assert a.wrong(item, 9) == 0


def test_L3_ClientsKeepWhatTheyUse(workshop):
    daemon = workshop.daemon()
    a = daemon.probe("a")
    item = a.buffer(MIB)
    a.fill(item, 77)
    a.idle(8 * MIB)
    epoch = daemon.books().epoch
    assert a.mapped() >= 9 * MIB
    daemon.kill()
    assert a.wrong(item, 77) == 0
    eventually(lambda: a.mapped() <= 4 * MIB, "what was idle is unmapped")
    assert a.wrong(item, 77) == 0
    daemon.start()
    new = eventually(lambda: try_buffer(a, 8 * MIB), "the new daemon serves")
    a.fill(new, 78)
    assert a.wrong(item, 77) == 0 and a.wrong(new, 78) == 0
    books = daemon.quiet(in_use=8 * MIB, sessions=1)
    assert books.epoch > epoch
    a.drop(item)  # the old epoch's handle never reaches the new daemon
    a.drop(new)
    daemon.quiet(in_use=0, idle=8 * MIB)
    eventually(lambda: a.mapped() <= 8 * MIB, "the old slab is unmapped")
    a.call("loop", 10, 8 * MIB)
    assert a.stats()["misses"] == 3  # two at the old daemon, which nobody else remembers
    daemon.check()


def foreign(daemon):
    return daemon.books().raw["pool"]["foreign_bytes"]


def test_M3_WhatAnEarlierDaemonsClientsMapIsForeign(workshop):
    """Slabs, not processes, are counted; each once, also by the daemon after the next; and no longer than they are mapped."""
    daemon = workshop.daemon(slab_size=16 * MIB, drain_timeout="100ms")
    a, b = daemon.probe("a"), daemon.probe("b")
    first, second = a.buffer(8 * MIB), a.buffer(MIB)  # a slab of its own, and a part of a usual one
    other = b.buffer(MIB)  # of the same
    b.idle(8 * MIB)  # which b unmaps when its daemon is gone
    a.fill(first, 5)
    assert foreign(daemon) == 0
    for end in (daemon.kill, daemon.terminate):
        end()
        eventually(lambda: b.mapped() <= 16 * MIB, "what was idle is unmapped")
        daemon.start()
        eventually(lambda: foreign(daemon) == 24 * MIB, "what is in use is foreign")
    text = daemon.log_text()
    line = [line for line in text.splitlines() if "foreign bytes=" in line][-1]
    assert "WARN" in line and "bytes=24" in line and str(a.pid) in line and str(b.pid) in line, line
    assert a.wrong(first, 5) == 0
    a.drop(first)
    eventually(lambda: foreign(daemon) == 16 * MIB, "the slab that a let go of is not")
    b.drop(other)
    a.drop(second)
    eventually(lambda: foreign(daemon) == 0, "nothing is mapped any more")
    assert "foreign bytes=0" in daemon.log_text()
    daemon.check()


def test_M3_ForeignUntilTheLastForkedChildEnds(workshop):
    """A child that was forked has its parent's mappings, and lives on."""
    daemon = workshop.daemon(slab_size=16 * MIB)
    a = daemon.probe("a")
    a.buffer(MIB)
    child = a.fork("live")["pid"]
    daemon.kill()
    a.kill()
    daemon.start()
    eventually(lambda: foreign(daemon) == 16 * MIB, "the child's mapping counts")
    kill_child(child)
    eventually(lambda: foreign(daemon) == 0, "the child has ended")


def with_own_network(daemon):
    """The daemon anew, in a network namespace of its own as under the system unit."""
    launcher = ("unshare", "--net")
    if subprocess.run([*launcher, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to make a network namespace (root)")
    daemon.terminate()
    daemon.launcher = launcher
    daemon.start()
    assert os.stat(f"/proc/{daemon.process.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino
    return daemon


def test_M3_ForeignIsExactInANetworkOfItsOwn(workshop):
    """What a client that found the new daemon let go of counts no more, though its process lives."""
    daemon = with_own_network(workshop.daemon(slab_size=16 * MIB))
    a, b = daemon.probe("a"), daemon.probe("b")
    old = a.buffer(MIB)
    b.buffer(MIB)  # of the same slab
    daemon.kill()
    daemon.start()
    new = eventually(lambda: try_buffer(a, MIB), "the new daemon serves")
    eventually(lambda: foreign(daemon) == 16 * MIB, "what is in use is foreign")
    a.drop(old)
    child = b.fork("live")["pid"]
    b.kill()
    daemon.kill()  # what the next one finds was written by two
    daemon.start()
    eventually(lambda: foreign(daemon) == 32 * MIB, "a holds one slab, the other's child another")
    kill_child(child)
    eventually(lambda: foreign(daemon) == 16 * MIB, "the child has ended")
    a.drop(new)
    eventually(lambda: foreign(daemon) == 0, "a has let go, and lives")


def test_M3_ForeignOfAGpuIsBySessionInANetworkOfItsOwn(workshop, tmp_path):
    """A GPU's slabs count while somebody has the session's descriptor socket, not while the process lives."""
    fake = {
        "LD_LIBRARY_PATH": os.environ["NVCV_CACHED_FAKE_CUDA"],
        "FAKE_CUDA_DIR": str(tmp_path),
        "CUDA_VISIBLE_DEVICES": "0",
    }
    daemon = with_own_network(workshop.daemon(device="cuda:0", slab_size=16 * MIB, environment=fake))
    a = daemon.probe("a", env=fake)
    old = a.buffer(MIB)
    daemon.kill()
    daemon.start()
    new = eventually(lambda: try_buffer(a, MIB), "the new daemon serves")
    eventually(lambda: foreign(daemon) == 16 * MIB, "what is in use is foreign")
    a.drop(old)
    eventually(lambda: foreign(daemon) == 0, "a has let go of the old session, and lives")
    a.drop(new)


def test_M3_ARecordThatCannotBeWrittenIsSaidAndTriedAgain(workshop):
    daemon = workshop.daemon(slab_size=16 * MIB)
    daemon.terminate()
    in_the_way = daemon.directory / "host.sock.slabs.new"
    in_the_way.mkdir()
    daemon.start()
    a = daemon.probe("a")
    item = a.buffer(MIB)
    said = [line for line in daemon.log_text().splitlines() if " no-record " in line]
    assert len(said) == 1 and "WARN" in said[0] and "host.sock.slabs" in said[0], said
    in_the_way.rmdir()
    eventually(lambda: "record why=" in daemon.log_text(), "it is written again")
    assert daemon.log_text().count(" no-record ") == 1
    daemon.kill()
    daemon.start()
    eventually(lambda: foreign(daemon) == 16 * MIB, "all of it was written")
    a.drop(item)


def test_M3_ForeignFromAnotherBootOrAnotherHandIsNothing(workshop):
    """A record that is torn, of another boot, or not a record, starts a daemon like none."""
    daemon = workshop.daemon()
    a = daemon.probe("a")
    a.buffer(MIB)
    record = daemon.directory / "host.sock.slabs"
    daemon.kill()
    whole = record.read_text()
    assert f" {a.pid} " in whole
    for text in ("", "\0" * 100, whole.replace("boot ", "boot x"), "boot\n" * 1000, whole.rstrip()[:-9]):
        record.write_text(text)
        daemon.start()
        assert foreign(daemon) == 0, text
        daemon.kill()


def test_L3_CallsWaitForTheNewDaemon(daemon):
    a = daemon.probe("a")
    a.buffer(MIB)
    daemon.kill()
    waiting = a.start("buffer", 1, 2 * MIB)
    daemon.start()
    waiting.result(10)
    daemon.quiet(in_use=2 * MIB)


def test_L3_WithoutADaemonTheErrorSaysSo(daemon):
    a = daemon.probe("a", env={"NVCV_CACHED_TIMEOUT": "500ms"})
    item = a.buffer(MIB)
    a.fill(item, 6)
    daemon.kill()
    begin = time.monotonic()
    with fails("Unavailable") as caught:
        a.buffer(2 * MIB)
    assert time.monotonic() - begin < 3
    assert str(daemon.socket) in caught.text and "do:" in caught.text, caught.text
    assert a.wrong(item, 6) == 0
    a.drop(item)


def test_L3_NobodyThereFailsAtOnce(daemon):
    a = daemon.probe("a")
    daemon.kill()
    begin = time.monotonic()
    with fails("Unavailable") as caught:
        a.buffer(MIB)
    assert time.monotonic() - begin < 6, "within the timeout of 5 s"
    assert str(daemon.socket) in caught.text


def test_L3_ManyClientsManyRestarts(workshop):
    daemon = workshop.daemon(capacity=64 * MIB)
    probes = [daemon.probe(f"p{i}", env={"NVCV_CACHED_TIMEOUT": "20s"}) for i in range(4)]
    held = []
    for probe in probes:
        item = probe.buffer(MIB)
        probe.fill(item, probe.pid)
        held.append(item)
    for _ in range(3):
        running = [p.start("churn", p.pid, 4, MIB, 200) for p in probes]
        eventually(lambda: daemon.books().totals["misses"] > 8, "they work")
        daemon.kill()
        daemon.start()
        for future in running:
            result = future.result(60)
            assert result["wrong"] == 0, result
            assert set(result["errors"]) <= {"Unavailable"}, result
        daemon.quiet(in_use=0)
    for probe, item in zip(probes, held, strict=True):
        assert probe.wrong(item, probe.pid) == 0
        probe.drop(item)
    daemon.quiet(in_use=0)
    identities(daemon.check())


def test_L3_ForkedClientOfADeadDaemon(daemon):
    a = daemon.probe("a")
    item = a.buffer(MIB)
    a.fill(item, 8)
    daemon.kill()
    answer = a.fork("use", item)
    assert answer["child"]["buffer"] == "Forked" and answer["status"] == 0
    daemon.start()
    assert a.wrong(item, 8) == 0
    eventually(lambda: try_buffer(a, MIB), "served again")
