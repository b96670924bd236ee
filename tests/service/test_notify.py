"""What the daemon tells its service manager, over a real socket, and when it falls silent."""

import signal

import pytest
from conditions import DEADLINE, MIB
from manager import StoppedThreads, threads

OURS = {"nvcv-cached", "device", "ticker", "accept", "death-watch"}


def test_ready_OnlyWhenAClientCanConnect(workshop, manage):
    manager = manage()
    daemon = workshop.daemon(environment=manager.environment)
    ready = manager.until(READY="1")
    assert len(ready) == 1 and ready[0]["STATUS"] == "0 sessions, 0B of 64.0MiB cached, pool 0B"
    daemon.probe("a").buffer(MIB)


def test_status_IsRenewedWithoutAWatchdogToo(workshop, manage):
    manager = manage()
    daemon = workshop.daemon(environment=manager.environment)
    daemon.probe("a").buffer(MIB)
    seen = manager.until(STATUS="1 sessions, 1.00MiB of 64.0MiB cached, pool 2.00MiB")
    assert not any("WATCHDOG" in message for message in seen)


def test_reload_IsToldWithItsTimeAndItsEnd(workshop, manage):
    manager = manage(watchdog_usec=400_000)
    daemon = workshop.daemon(environment=manager.environment)
    daemon.terminate()
    manager.until(STOPPING="1")
    file = daemon.directory / "daemon.toml"
    daemon.flags.update(limit=None, config=file)
    for text in ('limit = "8MiB"\n', 'limit = "4G"\n'):
        file.write_text('limit = "2MiB"\n')
        daemon.start()
        manager.until(READY="1")
        file.write_text(text)  # a file that is refused ends the reload as well
        daemon.process.send_signal(signal.SIGHUP)
        (reloading,) = [message for message in manager.until(RELOADING="1") if "RELOADING" in message]
        assert int(reloading["MONOTONIC_USEC"]) > 0
        manager.until(READY="1")
        assert daemon.terminate() == 0


def test_drain_SaysStoppingAtOnceAndAsksForMoreTime(workshop, manage):
    manager = manage(watchdog_usec=400_000)
    daemon = workshop.daemon(environment=manager.environment, drain_timeout="1h")
    a = daemon.probe("a")
    item = a.buffer(MIB)
    manager.until(READY="1")
    daemon.process.terminate()
    manager.until(STOPPING="1")
    (extended,) = [m for m in manager.until(EXTEND_TIMEOUT_USEC="") if "EXTEND_TIMEOUT_USEC" in m]
    assert int(extended["EXTEND_TIMEOUT_USEC"]) >= 5_000_000
    manager.until(WATCHDOG="1", STATUS="draining, 1.00MiB in use; 1 sessions")  # a drain is no hang
    a.drop(item)
    assert daemon.process.wait(DEADLINE) == 0


def test_relay_OfAnotherProcessIsNotAsked(workshop, manage):
    """WATCHDOG_PID names who is watched: a child of the service is not."""
    manager = manage(watchdog_usec=400_000)
    daemon = workshop.daemon(environment={**manager.environment, "WATCHDOG_PID": "1"})
    assert "WATCHDOG" not in manager.until(READY="1")[-1]
    daemon.probe("a").buffer(MIB)
    assert not any("WATCHDOG" in message for message in manager.until(STATUS="1 sessions"))


@pytest.mark.parametrize("name", ["device", "ticker", "accept", "death-watch", "grpc"])
def test_watchdog_StarvesWhenAThreadHangs(workshop, manage, name):
    """Each thread that serves is proven by an answer of its own; the main thread's good health is not enough."""
    manager = manage(watchdog_usec=1_000_000)
    daemon = workshop.daemon(environment=manager.environment)
    pid = daemon.process.pid
    manager.until(WATCHDOG="1")

    def chosen(tid, thread):
        return tid != pid and (thread not in OURS or thread == "nvcv-cached" if name == "grpc" else thread == name)

    tids = [tid for tid, thread in threads(pid).items() if chosen(tid, thread)]
    assert tids, threads(pid)
    try:
        stopped = StoppedThreads(tids)
    except PermissionError as error:
        pytest.skip(f"no thread may be stopped here: {error}")
    try:
        manager.until(STATUS=f"hangs: {name};")
        for _ in range(4):  # 1 s
            assert "WATCHDOG" not in manager.message()
    finally:
        stopped.resume()
    manager.until(WATCHDOG="1")
    assert f"hang threads={name}" in daemon.log_text()


def test_watchdog_AFloodIsNoHang(workshop, manage):
    """M5: clients that ask without a pause cannot have the daemon ended."""
    manager = manage(watchdog_usec=4_000_000)
    daemon = workshop.daemon(environment=manager.environment, capacity=16 * MIB)
    floods = []
    for name in ("a", "b"):
        liar = daemon.liar(name)
        liar.attach()
        floods.append(liar.spam(20_000, query={"request_id": 1}))
    probes = [daemon.probe(f"p{i}") for i in range(2)]
    running = [probe.start("churn", probe.pid, 4, MIB) for probe in probes]
    for _ in range(3):
        seen = manager.until(WATCHDOG="1")
        assert not any("hangs" in message["STATUS"] for message in seen), seen
    for probe in probes:
        probe.call("halt")
    for future in running:
        assert future.result(60)["wrong"] == 0
    assert "hang threads" not in daemon.log_text()
