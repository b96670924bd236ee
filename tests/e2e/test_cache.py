"""The cache's contract, rules C1 to C5 and C7 to C10, seen by separate processes."""

from conditions import KIB, MIB, eventually, fails


def test_C1_ItemsCountFromCreationOn(daemon):
    a = daemon.probe("a")
    item = a.buffer(MIB)
    daemon.quiet(cache_bytes=MIB, cache_items=1, in_use=MIB, idle=0)
    a.drop(item)
    daemon.quiet(cache_bytes=MIB, cache_items=1, in_use=0, idle=MIB)
    a.call("tensor", "U8", "HWC", 256, 1024, 4)  # the same bytes again, on the idle memory
    daemon.quiet(cache_bytes=MIB, cache_items=1, in_use=MIB, idle=0)
    daemon.check()


def test_C2_HitAsksNobody(daemon):
    a = daemon.probe("a")
    a.call("loop", 1000, MIB)
    counted = a.stats()
    assert (counted["hits_exact"], counted["misses"]) == (999, 1), counted
    daemon.kill()
    a.call("loop", 0, MIB)
    assert a.process.poll() is None


def test_C2_WhatIsReservedIsHit(daemon):
    a = daemon.probe("a")
    a.call("reserve", 4, MIB)
    books = daemon.quiet(idle=4 * MIB, in_use=0, cache_items=4, cache_bytes=4 * MIB)
    assert (a.stats()["hits"], books.totals["misses"] + books.totals["granted_ahead"]) == (0, 4)
    a.buffer(MIB, count=4)
    assert a.stats()["hits_exact"] == 4
    assert daemon.books().totals["misses"] == books.totals["misses"]
    a.drop()
    a.call("reserve", 4, MIB)  # they are there already
    daemon.quiet(idle=4 * MIB, in_use=0, cache_items=4)
    daemon.check()


def test_C8_WhatIsReservedIsLimitedLikeAnyOther(daemon):
    a = daemon.probe("a")
    a.call("limit", 2 * MIB)
    a.call("reserve", 4, MIB)
    daemon.quiet(idle=2 * MIB, in_use=0, cache_items=2)
    a.call("limit", 64 * MIB)
    daemon.ctl("quota", "3MiB")
    with fails("QuotaExceeded"):
        a.call("reserve", 4, MIB)
    daemon.quiet(idle=3 * MIB, in_use=0)


def test_C2_StridesAreInTheSpec(daemon):
    """(1, 3) with padded rows and (3, 1): same bytes asked, different objects."""
    a = daemon.probe("a")
    for extents in ((64, 100), (100, 64)):
        a.call("tensor", "U8", "HW", *extents)
        a.drop()
    assert a.stats()["hits_exact"] == 0


def test_C3_IdleLeaseAtMostAQuarterTooLargeServes(daemon):
    a = daemon.probe("a")
    a.idle(MIB)
    hits = a.stats()["hits_size_class"]
    item = a.buffer(MIB - 200 * KIB)
    found = a.stats()
    assert (found["hits_size_class"] - hits, found["misses"]) == (1, 1), found
    daemon.quiet(cache_bytes=MIB, in_use=MIB)  # it counts what it was granted for
    a.drop(item)
    a.buffer(700 * KIB)
    assert a.stats()["misses"] == 2


def test_C4_ObjectLargerThanTheLimitWorks(workshop):
    daemon = workshop.daemon(limit=MIB)
    a = daemon.probe("a")
    item = a.buffer(2 * MIB)
    a.fill(item, 3)
    books = daemon.quiet(cache_bytes=0, in_use=2 * MIB)
    assert books.totals["uncached_grants"] == 1
    assert a.wrong(item, 3) == 0
    a.drop(item)
    daemon.quiet(in_use=0, idle=0)


def test_C4_LimitZeroCachesNothing(workshop):
    daemon = workshop.daemon(limit=0)
    a = daemon.probe("a")
    a.call("loop", 10, MIB)
    assert a.stats()["hits"] == 0
    books = daemon.quiet(cache_bytes=0, cache_items=0, in_use=0, idle=0)
    assert books.totals["uncached_grants"] == 10


def test_C4_LimitAboveTheDeviceWarns(daemon):
    result = daemon.json("limit", "900TiB")
    assert result["warning"]
    assert daemon.books().limit == 900 << 40


def test_C4_ALimitOfAProcessAboveTheDeviceIsLoggedOnce(daemon):
    early, late = daemon.probe("early"), daemon.probe("late")
    early.call("limit", 900 << 40)
    early.buffer(MIB)
    late.buffer(MIB)
    late.call("limit", 900 << 40)
    late.call("limit", 901 << 40)
    said = [line for line in daemon.log_text().splitlines() if "session-limit" in line]
    assert len(said) == 2 and all("900TiB" in line and "above the memory of the device" in line for line in said), said


def test_C4_NegativeLimitIsAnError(daemon):
    with fails("InvalidArgument"):
        daemon.probe("a").call("limit", -1)
    assert daemon.ctl("limit", "--", "-1", check=False).returncode in (1, 2)
    assert daemon.books().limit == 64 * MIB


def test_C4_LimitDefaultsToHalfTheDevice(workshop):
    daemon = workshop.daemon(limit=None, capacity=None)
    total = daemon.books().raw["device"]["total_bytes"]
    assert abs(daemon.books().limit - total // 2) <= 1


def test_C5_OldestIdleGoesFirstAcrossSessions(workshop):
    daemon = workshop.daemon(limit=4 * MIB)
    probes = [daemon.probe(f"p{i}") for i in range(4)]
    for i, probe in enumerate(probes):
        probe.idle(MIB)
        daemon.quiet(cache_items=i + 1)  # a moment passes between two releases
    newcomer = daemon.probe("newcomer")
    newcomer.buffer(MIB)
    idle = {row["name"]: row["idle_bytes"] for row in daemon.sessions()}
    assert idle == {"p0": 0, "p1": MIB, "p2": MIB, "p3": MIB, "newcomer": 0}
    probes[1].call("loop", 1, MIB)  # a hit: p1's is the youngest now
    assert daemon.books().cache_bytes == 4 * MIB
    newcomer.buffer(MIB)
    idle = {row["name"]: row["idle_bytes"] for row in daemon.sessions()}
    assert idle == {"p0": 0, "p1": MIB, "p2": 0, "p3": MIB, "newcomer": 0}
    books = daemon.check()
    assert books.totals["evictions"]["limit"] == 2
    assert books.totals["evicted_bytes"]["limit"] == 2 * MIB


def test_C5_InUseItemsLeaveTheBooksAndStayValid(workshop):
    daemon = workshop.daemon(limit=4 * MIB)
    a, b = daemon.probe("a"), daemon.probe("b")
    held = a.buffer(MIB, 4)
    for item in held:
        a.fill(item, item)
    b.buffer(MIB)
    books = daemon.quiet(cache_bytes=4 * MIB, in_use=5 * MIB)
    assert books.totals["detached"] == 1
    assert [a.wrong(item, item) for item in held] == [0] * 4
    a.drop()
    daemon.quiet(cache_bytes=4 * MIB, idle=3 * MIB, in_use=MIB)  # the detached one went back


def test_C5_PolicyClearEmptiesTheCacheAtOnce(workshop):
    daemon = workshop.daemon(limit=4 * MIB, policy="clear")
    a, b = daemon.probe("a"), daemon.probe("b")
    held = a.buffer(MIB)
    a.fill(held, 4)
    a.buffer(2 * MIB)
    a.drop(held + 1)
    daemon.quiet(cache_bytes=3 * MIB, idle=2 * MIB)
    b.buffer(2 * MIB)
    daemon.quiet(cache_bytes=2 * MIB, cache_items=1, idle=0, in_use=3 * MIB)
    assert a.wrong(held, 4) == 0


def test_C5_LoweringTheLimitMakesRoom(workshop):
    daemon = workshop.daemon(limit=8 * MIB)
    a = daemon.probe("a")
    held = a.buffer(MIB, 2)
    a.buffer(MIB, 4)
    a.drop(*range(held[-1] + 1, held[-1] + 5))
    daemon.quiet(cache_bytes=6 * MIB, idle=4 * MIB)
    said = daemon.json("limit", "3MiB")
    assert (said["evicted_items"], said["evicted_bytes"]) == (3, 3 * MIB), said
    daemon.quiet(cache_bytes=3 * MIB, idle=MIB, limit=3 * MIB)
    said = daemon.json("limit", "1MiB")
    assert said["detached_items"] == 1, said
    daemon.quiet(cache_bytes=MIB, idle=0, in_use=2 * MIB)


def test_C7_ExitingThreadLeavesItsItemsToTheDepot(daemon):
    a = daemon.probe("a")
    a.call("loop", 2, MIB, thread=a.thread("first"))
    a.join("first")
    before = a.stats()
    a.call("loop", 1, MIB, thread=a.thread("second"))
    after = a.stats()
    assert after["hits_depot"] - before["hits_depot"] == 1, (before, after)
    assert after["misses"] == before["misses"] == 1
    assert a.call("size", "thread", thread="second")["items"] == 1  # it belongs to who adopted it
    daemon.quiet(cache_items=1, cache_bytes=MIB)


def test_C7_ItemInUseOutlivesItsThread(daemon):
    a = daemon.probe("a")
    item = a.buffer(MIB, thread=a.thread("maker"))
    a.fill(item, 9)
    a.join("maker")
    assert a.wrong(item, 9) == 0
    daemon.quiet(in_use=MIB, cache_bytes=MIB)
    a.drop(item)
    daemon.quiet(in_use=0, idle=MIB, cache_bytes=MIB)
    a.buffer(MIB, thread=a.thread("next"))
    assert a.stats()["misses"] == 1


def test_C7_ReleaseElsewhereGoesHome(daemon):
    a = daemon.probe("a")
    home = a.thread("home")
    for round_ in range(1, 4):
        item = a.buffer(MIB, thread=home)
        a.drop(item)  # on the main thread
        found = a.stats()
        assert (found["misses"], found["hits_exact"]) == (1, round_ - 1), found
    a.buffer(MIB)  # the main thread has none
    assert a.stats()["misses"] == 2


def test_C8_IdleIsTakenBeforeAnybodyIsRefused(workshop):
    daemon = workshop.daemon(capacity=8 * MIB)
    a, b = daemon.probe("a"), daemon.probe("b")
    a.idle(4 * MIB)
    a.idle(2 * MIB)
    kept = b.buffer(MIB, 8)
    for item in kept:
        b.fill(item, 3)
    books = daemon.quiet(in_use=8 * MIB, idle=0)
    assert books.totals["evictions"]["pressure"] == 2
    b.drop()
    a.fill(a.buffer(4 * MIB), 4)
    daemon.check()


def test_C8_EmptySlabsOfAnotherKindAreFreed(workshop):
    """Small blocks have slabs of their own; empty ones give way when a large block needs the capacity."""
    daemon = workshop.daemon(capacity=8 * MIB)
    a, b = daemon.probe("a"), daemon.probe("b")
    a.buffer(64 * KIB, 16)
    a.drop()
    a.call("clear")
    b.buffer(4 * MIB, 2)
    daemon.quiet(in_use=8 * MIB, free=0)


def test_C8_WaitsInOrderForDrainingMemory(workshop):
    daemon = workshop.daemon(capacity=4 * MIB)
    liar, first, second = daemon.liar(), daemon.probe("first"), daemon.probe("second")
    liar.attach()
    slot = liar.grant(4 * MIB)["slot"]
    liar.call("fence", slot, 7, 1)
    liar.call("move", slot, "returned")
    liar.send(return_leases={"slots": [slot]})
    daemon.quiet(draining=4 * MIB)
    first.call("connect", "-", 10000)
    second.call("connect", "-", 1000)
    one = first.start("buffer", 1, 3 * MIB)
    waiting = lambda: daemon.session(first)["leases"] == 0 and not one.done()  # noqa: E731
    eventually(waiting, "the first waits")
    two = second.start("buffer", 1, 3 * MIB)
    with fails("OutOfMemory"):
        two.result(10)  # its own deadline
    two = second.start("buffer", 1, 3 * MIB)
    liar.call("done", 7, 1)
    one.result(10)
    with fails("OutOfMemory"):
        two.result(10)


def test_C8_RefusalNamesTheHolders(workshop):
    daemon = workshop.daemon(capacity=16 * MIB)
    hog, small, late = daemon.probe("hog"), daemon.probe("small"), daemon.probe("late")
    hog.buffer(4 * MIB, 3)
    small.buffer(4 * MIB)
    late.call("connect", "-", 500)
    with fails("OutOfMemory") as caught:
        late.buffer(6 * MIB)
    text = caught.text
    assert text.startswith("NVCV_ERROR_OUT_OF_MEMORY"), text
    for part in ("6", "16", "hog", str(hog.pid), "12", "small", str(small.pid)):
        assert part in text, (part, text)
    assert daemon.books().totals["refused"] == 1
    small.drop()
    with fails("OutOfMemory"):
        late.buffer(6 * MIB)
    late.buffer(4 * MIB)


def test_C8_MoreThanThereIsIsRefused(daemon):
    a = daemon.probe("a")
    for size in (65 * MIB, 1 << 62, (1 << 64) - 1):
        with fails("OutOfMemory", "InvalidArgument"):
            a.buffer(size)
    a.buffer(MIB)


def test_C8_QuotaBoundsOneSession(workshop):
    daemon = workshop.daemon(quota=4 * MIB)
    a, b = daemon.probe("a"), daemon.probe("b")
    a.idle(2 * MIB)
    held = a.buffer(MIB, 4)  # its own idle lease gives way
    with fails("QuotaExceeded") as caught:
        a.buffer(MIB)
    assert "4" in caught.text, caught.text
    b.buffer(4 * MIB)  # nobody else's business
    daemon.ctl("quota", "8MiB", "--session", daemon.session(a)["id"])
    a.buffer(MIB, 4)
    with fails("QuotaExceeded"):
        a.buffer(MIB)
    a.drop(*held)
    a.buffer(2 * MIB, 2)
    assert daemon.check().totals["evictions"]["quota"] >= 1


def test_C8_FullSlotTable(workshop):
    """32,768 leases in one session; idle ones make room, then the error says so."""
    daemon = workshop.daemon(capacity=64 * MIB)
    a, b = daemon.probe("a"), daemon.probe("b")
    a.idle(MIB)
    a.call("buffer", 32768, 512, timeout=120)
    assert daemon.session(a)["leases"] == 32768
    with fails("OutOfMemory") as caught:
        a.buffer(512)
    assert "32768" in caught.text.replace(",", ""), caught.text
    b.buffer(512)
    a.drop()
    a.buffer(512)
    daemon.check()


def test_C9_ProcessSpeaksForItself(workshop):
    daemon = workshop.daemon(limit=8 * MIB)
    a, b = daemon.probe("a"), daemon.probe("b")
    for probe in (a, b):
        probe.buffer(MIB, 3)
    for probe in (a, b):
        probe.drop()
    daemon.quiet(cache_bytes=6 * MIB, idle=6 * MIB)
    assert a.call("limit")["bytes"] == 8 * MIB
    assert a.call("limit", MIB)["bytes"] == MIB
    assert a.call("bytes")["bytes"] == MIB
    daemon.quiet(cache_bytes=4 * MIB, limit=8 * MIB)
    assert b.call("limit")["bytes"] == 8 * MIB
    assert a.call("limit", 1 << 50)["bytes"] == 1 << 50  # any value is read back
    a.buffer(MIB, 7)
    assert daemon.books().cache_bytes <= 8 * MIB  # the smaller one is in force
    a.drop()
    b.call("clear")
    assert b.call("bytes")["bytes"] == 0
    assert a.call("bytes")["bytes"] > 0


def test_C9_LimitSetBeforeTheFirstObject(daemon):
    a = daemon.probe("a")
    assert a.call("limit", 0)["bytes"] == 0
    a.call("loop", 3, MIB)
    assert a.stats()["hits"] == 0
    daemon.quiet(cache_bytes=0, in_use=0, idle=0)


def test_C10_NeverReusedIdleIsTakenBeforeThePoolGrows(workshop):
    daemon = workshop.daemon(keep_time="1h")
    a, b = daemon.probe("a"), daemon.probe("b")
    a.buffer(4 * MIB)
    a.drop()
    b.buffer(4 * MIB)
    books = daemon.quiet(pool=4 * MIB, idle=0, in_use=4 * MIB)
    assert books.totals["misses_reclaim"] == 1 and books.totals["slab_allocations"] == 1


def test_C10_SteadilyReusedIsKept(workshop):
    daemon = workshop.daemon(keep_time="1h")
    a, b = daemon.probe("a"), daemon.probe("b")
    a.call("loop", 10, 4 * MIB)
    b.buffer(4 * MIB)
    daemon.quiet(pool=8 * MIB, idle=4 * MIB, in_use=4 * MIB)


def test_C10_LongIdleIsTakenBeforeThePoolGrows(workshop):
    daemon = workshop.daemon(keep_time="20ms")
    a, b = daemon.probe("a"), daemon.probe("b")
    a.call("loop", 10, 4 * MIB)
    b.call("connect")
    eventually(lambda: daemon.leases(a)[0]["idle_seconds"] > 0.03, "idle beyond the keep time")
    b.buffer(4 * MIB)
    daemon.quiet(pool=4 * MIB, idle=0, in_use=4 * MIB)


def test_C10_OthersBeforeOnesOwn(daemon):
    a, b = daemon.probe("a"), daemon.probe("b")
    a.buffer(4 * MIB)
    b.buffer(4 * MIB)
    b.drop()  # b's is the older one
    daemon.quiet(idle=4 * MIB)
    a.drop()
    b.buffer(3 * MIB)
    assert {row["name"]: row["idle_bytes"] for row in daemon.sessions()} == {"a": 0, "b": 4 * MIB}
    daemon.check()
