"""Upgrade under load: drain, replace the program, restart, while clients work and notice nothing but slower misses."""

import shutil

from conditions import BIN, LONG, MIB, eventually

CLIENTS = 3


def test_upgrade_ClientsWorkOnWithoutAnError(workshop):
    """With holders that outlast the drain: they keep their memory over several daemons."""
    daemon = workshop.daemon(drain_timeout="300ms")
    probes = [daemon.probe(f"p{i}", env={"NVCV_CACHED_TIMEOUT": "30s"}) for i in range(CLIENTS)]
    held = {}
    for probe in probes:
        held[probe] = probe.buffer(MIB)
        probe.fill(held[probe], probe.pid)
    running = [
        probe.start("churn", probe.pid + i, 4, MIB, thread=probe.thread(f"t{i}")) for probe in probes for i in range(2)
    ]
    epoch = daemon.books().epoch
    installed = daemon.directory / "nvcv-cached"
    daemon.program = installed
    for _ in range(10 if LONG else 3):
        before = daemon.books().totals["misses"]
        eventually(lambda seen=before: daemon.books().totals["misses"] > seen + 50, "they work")
        new = installed.with_suffix(".new")
        shutil.copy(BIN / "nvcv-cached", new)
        new.rename(installed)  # as a package does, while the old one runs
        daemon.ctl("drain")
        assert daemon.terminate(60) == 0
        daemon.start()
    eventually(lambda: daemon.books().totals["misses"] > 50, "they work at the last daemon")
    for probe in probes:
        probe.call("halt")
    results = [future.result(60) for future in running]
    assert [(result["wrong"], result["errors"]) for result in results] == [(0, {})] * len(results), results
    assert daemon.books().epoch == epoch + (10 if LONG else 3)
    for probe, item in held.items():
        assert probe.wrong(item, probe.pid) == 0
        probe.drop(item)
    daemon.quiet(in_use=0, sessions=CLIENTS)


def test_upgrade_WhoWaitsThroughItGetsItsMemory(workshop):
    """A request made while nobody is there is only late."""
    daemon = workshop.daemon()
    a = daemon.probe("a", env={"NVCV_CACHED_TIMEOUT": "30s"})
    a.buffer(MIB)
    a.drop()
    daemon.ctl("drain")
    assert daemon.terminate() == 0
    waiting = a.start("buffer", 1, 2 * MIB)
    daemon.start()
    item = waiting.result(30)["ids"][0]
    a.fill(item, 5)
    assert a.wrong(item, 5) == 0
    daemon.quiet(in_use=2 * MIB, sessions=1)
