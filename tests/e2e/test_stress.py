"""Everything at once, at random: churn, stops, kills, forks, breaks, limits.

NVCV_CACHED_LONG=1 makes it long.
"""

import random

from books import identities
from conditions import KIB, LONG, MIB, eventually


def test_stress_Kills(workshop):
    """Processes are killed in the middle of their work; nothing of them stays, and no word is wrong."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    daemon = workshop.daemon(capacity=64 * MIB, limit=32 * MIB, keep_time="20ms")
    survivor = daemon.probe("survivor")
    kills = 3000 if LONG else 25
    churn = survivor.start("churn", seed, 8, MIB, thread=survivor.thread("churn"))
    for number in range(kills):
        victim = daemon.probe(f"victim{number % 8}")
        victim.start("churn", rng.randrange(1 << 30), 6, MIB)
        eventually(
            lambda pid=victim.pid: any(r["pid"] == pid and r["misses"] > rng.randrange(30) for r in daemon.sessions()),
            "it works",
        )
        victim.kill()
        identities(daemon.books())
    survivor.call("halt")
    result = churn.result(60)
    assert result["wrong"] == 0 and set(result["errors"]) <= {"OutOfMemory"}, result
    survivor.call("clear")
    books = daemon.quiet(sessions=1, in_use=0, idle=0, draining=0, quarantined=0)
    assert books.totals["sessions_ended"]["exit"] == kills
    daemon.check()


def test_stress_Everything(workshop):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    daemon = workshop.daemon(capacity=64 * MIB, limit=24 * MIB, keep_time="20ms", trim_after="100ms")
    workers = []

    def worker():
        probe = daemon.probe(f"w{rng.randrange(1000)}")
        futures = [probe.start("churn", rng.randrange(1 << 30), 4, MIB, thread=probe.thread(f"t{i}")) for i in range(2)]
        workers.append((probe, futures))

    for _ in range(3):
        worker()
    stopped = []
    for _ in range(2000 if LONG else 60):
        what = rng.choice(["kill", "stop", "cont", "break", "limit", "clear", "trim", "quota", "finish"])
        probe, futures = rng.choice(workers)
        if what == "kill":
            workers.remove((probe, futures))
            probe.kill()
            worker()
        elif what == "stop" and len(stopped) < 2 and probe not in stopped:
            probe.stop()
            stopped.append(probe)
        elif what == "cont" and stopped:
            stopped.pop().resume()
        elif what == "break" and probe not in stopped:
            probe.call("break", probe.socket)
        elif what == "limit":
            daemon.ctl("limit", rng.choice([0, MIB, 24 * MIB]))
        elif what == "quota":
            daemon.ctl("quota", rng.choice(["none", "6MiB"]))
        elif what in ("clear", "trim"):
            daemon.ctl(what)
        elif what == "finish" and probe not in stopped:
            workers.remove((probe, futures))
            finish(probe, futures)
            probe.start("exit", 0)
            assert probe.wait() == 0
            worker()
        identities(daemon.books())
    for probe in stopped:
        probe.resume()
    for probe, futures in workers:
        finish(probe, futures)
        probe.call("clear")
    daemon.quiet(in_use=0, idle=0, draining=0, quarantined=0)
    daemon.check()


def finish(probe, futures):
    probe.call("halt")
    for future in futures:
        result = future.result(60)
        assert result["wrong"] == 0, result
        assert set(result["errors"]) <= {"OutOfMemory", "QuotaExceeded"}, result


def test_stress_HundredProcesses(workshop):
    """A hundred clients come, work and leave; the daemon is as it was."""
    daemon = workshop.daemon(capacity=64 * MIB, limit=32 * MIB)
    count = 300 if LONG else 60
    probes = [daemon.probe(f"p{i}") for i in range(count)]
    running = [p.start("loop", 50, 128 * KIB) for p in probes]
    for future in running:
        future.result(120)
    daemon.quiet(sessions=count, in_use=0)
    for probe in probes:
        probe.start("exit", 0)
    for probe in probes:
        assert probe.wait() == 0
    daemon.quiet(sessions=0, idle=0, cache_bytes=0)
