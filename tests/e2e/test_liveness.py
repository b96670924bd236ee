"""Liveness, rules L1, L2 and L4 (L3 is in test_restart.py)."""

import time

from conditions import MIB, FailedError, eventually, fails, kill_child


def test_L1_DeadClientsMemoryComesBackByItself(workshop):
    daemon = workshop.daemon(capacity=16 * MIB)
    a, b = daemon.probe("a"), daemon.probe("b")
    a.buffer(MIB, 8)
    a.idle(4 * MIB)
    b.call("connect")
    a.kill()
    books = daemon.quiet(sessions=1, in_use=0, idle=0, quarantined=0, cache_bytes=0)
    assert books.totals["sessions_ended"] == {**books.totals["sessions_ended"], "exit": 1}
    b.buffer(MIB, 16)
    daemon.check()


def test_L1_DeathServesWhoWaits(workshop):
    """A request that waits for quarantined memory is served when the last holder is gone."""
    daemon = workshop.daemon(capacity=4 * MIB)
    a, b = daemon.probe("a"), daemon.probe("b")
    a.buffer(4 * MIB)
    child = a.fork("live")["pid"]
    a.kill()
    daemon.quiet(quarantined=4 * MIB)
    b.call("connect")
    waiting = b.start("buffer", 1, 4 * MIB)

    kill_child(child)
    try:
        waiting.result(10)
    except FailedError as error:  # refused at once is allowed: quarantined memory may last for ever
        assert error.kind == "OutOfMemory"
        eventually(lambda: daemon.books().quarantined == 0, "not quarantined any more")
        b.buffer(4 * MIB)


def test_L2_StoppedClientLosesWhatItLeftIdle(workshop):
    daemon = workshop.daemon(capacity=8 * MIB)
    hung, busy = daemon.probe("hung"), daemon.probe("busy")
    held = hung.buffer(4 * MIB)
    hung.fill(held, 11)
    hung.idle(4 * MIB)
    hung.stop()
    item = busy.buffer(4 * MIB)
    busy.fill(item, 22)
    daemon.quiet(in_use=8 * MIB, idle=0)
    with fails("OutOfMemory"):
        busy.buffer(MIB)  # what the hung one uses is not taken
    hung.resume()
    assert hung.wrong(held, 11) == 0
    assert busy.wrong(item, 22) == 0
    busy.drop()
    hung.fill(hung.buffer(4 * MIB), 33)  # its dead entry is dropped, the daemon asked
    assert hung.wrong(held, 11) == 0
    daemon.check()


def test_L2_StoppedClientShows(daemon):
    a = daemon.probe("a")
    a.idle(MIB)
    a.stop()
    eventually(lambda: daemon.session(a)["process_state"] == "T", "shown as stopped")
    a.resume()


def test_L4_HungDaemonEndsInADeadline(daemon):
    """The daemon is stopped: every kind of call that needs it fails in its time and names the daemon."""
    a = daemon.probe("a")
    a.call("connect", "-", 400)
    kept = a.buffer(MIB)
    a.fill(kept, 5)
    a.idle(2 * MIB)
    daemon.stop()
    try:
        for verb in (["buffer", 1, 3 * MIB], ["clear"], ["limit", MIB], ["stats"]):
            begin = time.monotonic()
            with fails("DeadlineExceeded") as caught:
                a.call(*verb)
            assert 0.3 < time.monotonic() - begin < 3, verb
            assert str(daemon.process.pid) in caught.text, caught.text
        a.call("loop", 100, 2 * MIB)  # hits do not need it
        assert a.wrong(kept, 5) == 0
    finally:
        daemon.resume()
    a.call("limit", 64 * MIB)
    a.buffer(3 * MIB)
    # The grant that nobody waited for any more has been given back.
    eventually(lambda: daemon.books().in_use == 4 * MIB, "the late grant is returned")


def test_L4_HungDaemonAtConnect(daemon):
    daemon.stop()
    try:
        begin = time.monotonic()
        with fails("DeadlineExceeded", "Unavailable"):
            daemon.probe("a").call("connect", daemon.socket, 400)
        assert time.monotonic() - begin < 3
    finally:
        daemon.resume()
