"""C6: the counters are exact at every moment, at the daemon and in each scope of each process."""

import random

from conditions import KIB, MIB


def agree(daemon, *probes):
    """The processes' own figures add up to the daemon's; returns [(items, bytes)] of the processes."""
    own = [(p.call("size")["items"], p.call("bytes")["bytes"]) for p in probes]
    books = daemon.check()
    assert sum(items for items, _ in own) == books.cache_items, (own, books)
    assert sum(size for _, size in own) == books.cache_bytes, (own, books)
    for probe in probes:
        assert probe.call("bytes", "daemon")["bytes"] == books.cache_bytes
    return own


def test_C6_CountersAreExactAfterEveryOperation(workshop):
    daemon = workshop.daemon(limit=16 * MIB)
    a, b = daemon.probe("a"), daemon.probe("b")
    helper = a.thread("helper")
    first = a.buffer(MIB)
    a.buffer(2 * MIB, thread=helper)
    b.buffer(3 * MIB)
    assert agree(daemon, a, b) == [(2, 3 * MIB), (1, 3 * MIB)]
    assert a.call("bytes", "thread")["bytes"] == MIB
    assert a.call("bytes", "thread", thread=helper)["bytes"] == 2 * MIB
    a.drop(first)
    assert agree(daemon, a, b) == [(2, 3 * MIB), (1, 3 * MIB)]

    a.call("clear", "thread")  # the main thread's idle item goes
    assert agree(daemon, a, b) == [(1, 2 * MIB), (1, 3 * MIB)]
    a.call("clear", "thread", thread=helper)  # the helper's item in use leaves the books
    assert agree(daemon, a, b) == [(0, 0), (1, 3 * MIB)]
    daemon.quiet(in_use=5 * MIB, idle=0)
    a.drop()
    daemon.quiet(in_use=3 * MIB, idle=0)

    a.idle(4 * MIB, thread=helper)
    a.join("helper")  # to the depot
    assert agree(daemon, a, b) == [(1, 4 * MIB), (1, 3 * MIB)]
    a.call("clear", "process")
    assert agree(daemon, a, b) == [(0, 0), (1, 3 * MIB)]

    a.idle(4 * MIB)
    said = daemon.json("limit", "5MiB")
    assert said["evicted_bytes"] == 4 * MIB
    assert agree(daemon, a, b) == [(0, 0), (1, 3 * MIB)]
    a.buffer(4 * MIB)  # overflow: b's item in use leaves the books
    assert agree(daemon, a, b) == [(1, 4 * MIB), (0, 0)]
    b.drop()
    daemon.quiet(in_use=4 * MIB, idle=0, cache_bytes=4 * MIB)

    assert daemon.json("clear")["bytes"] == 4 * MIB
    assert agree(daemon, a, b) == [(0, 0), (0, 0)]
    b.buffer(MIB, 2)
    b.drop()
    b.kill()
    daemon.quiet(sessions=1, cache_bytes=0, cache_items=0)
    assert agree(daemon, a) == [(0, 0)]


def test_C6_ClearOfOneSession(daemon):
    a, b = daemon.probe("a"), daemon.probe("b")
    for probe in (a, b):
        probe.idle(MIB)
    said = daemon.json("clear", "--session", daemon.session(a)["id"])
    assert (said["items"], said["bytes"]) == (1, MIB)
    assert agree(daemon, a, b) == [(0, 0), (1, MIB)]


def test_C6_HitsAndMissesAddUp(daemon):
    """Every request is one hit or one miss, whoever counts, and an ended session's values stay."""
    a = daemon.probe("a")
    a.call("loop", 50, MIB)
    a.call("loop", 50, 900 * KIB)
    a.call("loop", 20, 4 * MIB, thread=a.thread("t"))
    a.join("t")
    own = a.stats()
    assert own["hits"] + own["misses"] == 120, own
    totals = daemon.books().totals
    assert totals["hits"] == own["hits"] and totals["misses"] == own["misses"]
    a.kill()
    daemon.quiet(sessions=0)
    after = daemon.books().totals
    assert after["hits"] == own["hits"] and after["misses"] == own["misses"]
    assert after["sessions_ended"]["exit"] == 1


def test_C6_TotalsNeverFall(workshop):
    """Under load, limit changes and deaths: each counter, each time one looks."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    daemon = workshop.daemon(limit=8 * MIB, capacity=64 * MIB)
    rng = random.Random(seed)
    last = {}

    def look():
        books = daemon.books()
        flat = {}
        for key, value in books.totals.items():
            flat.update({(key, k): v for k, v in value.items()} if isinstance(value, dict) else {key: value})
        for key, value in last.items():
            assert flat.get(key, 0) >= value, (key, value, flat.get(key))
        last.update(flat)

    for round_ in range(4):
        probes = [daemon.probe(f"r{round_}p{i}") for i in range(3)]
        running = [p.start("churn", rng.randrange(1 << 30), 6, MIB, 150) for p in probes]
        while not all(future.done() for future in running):
            daemon.ctl("limit", rng.choice([0, MIB, 8 * MIB, 64 * MIB]))
            look()
        for future in running:
            assert future.result()["wrong"] == 0
        for probe in probes:
            probe.kill()
    daemon.quiet(sessions=0, in_use=0, idle=0, cache_bytes=0, draining=0)
    look()
    daemon.check()
