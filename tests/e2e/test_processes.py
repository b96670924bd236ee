"""What processes and threads do: fork, exec, exit with live objects, many threads, short threads."""

import random

from conditions import KIB, MIB, eventually, kill_child, process_state, stop


def test_fork_ChildGetsAClearErrorAndHarmsNothing(daemon):
    a = daemon.probe("a")
    items = a.buffer(MIB, 3)
    for item in items:
        a.fill(item, item)
    a.idle(512 * KIB)
    before = daemon.check()
    answer = a.fork("use", items[0])
    child = answer["child"]
    assert child["buffer"] == "Forked", child
    assert str(a.pid) in child["text"] and str(answer["pid"]) in child["text"], child
    assert answer["status"] == 0, answer  # its exit destroyed inherited objects and ran the library's atexit
    after = daemon.check()
    assert (after.in_use, after.idle, after.cache_items) == (before.in_use, before.idle, before.cache_items)
    assert [a.wrong(item, item) for item in items] == [0] * 3
    a.call("loop", 10, 512 * KIB)
    a.drop()
    daemon.quiet(in_use=0)


def test_fork_BeforeTheFirstConnectIsFine(daemon):
    a = daemon.probe("a")
    child = a.fork("use")
    assert child["child"]["buffer"] == "ok" and child["status"] == 0, child
    a.buffer(MIB)
    daemon.quiet(sessions=1, in_use=MIB)


def test_fork_ManyChildrenComeAndGo(daemon):
    a = daemon.probe("a")
    item = a.buffer(MIB)
    a.fill(item, 3)
    children = [a.fork("live")["pid"] for _ in range(20)]
    a.call("loop", 100, 64 * KIB)
    for child in children:
        kill_child(child)
    assert a.wrong(item, 3) == 0
    assert daemon.check().sessions == 1


def test_kill_WithALivingForkOfAnIdleProcess(daemon):
    """Idle memory needs no proof of death; the session shows as dead until the child is gone."""
    a = daemon.probe("a")
    a.idle(MIB)
    child = a.fork("live")["pid"]
    pid = a.pid
    a.kill()
    daemon.quiet(idle=0, in_use=0, quarantined=0)
    kill_child(child)
    daemon.quiet(sessions=0)
    assert all(row["pid"] != pid for row in daemon.sessions())


def test_exit_WithLiveObjectsIsQuiet(daemon):
    a = daemon.probe("a")
    a.buffer(MIB, 4)
    a.call("tensor", "F32", "HWC", 100, 100, 3)
    a.idle(2 * MIB, thread=a.thread("t"))
    a.start("exit", 7)
    assert a.wait() == 7
    assert a.log.read_text() == ""
    books = daemon.quiet(sessions=0, in_use=0, idle=0, quarantined=0)
    assert books.totals["sessions_ended"]["protocol"] == 0


def test_exit_WhileThreadsWork(daemon):
    a = daemon.probe("a")
    for i in range(4):
        a.start("churn", i, 4, 256 * KIB, thread=a.thread(f"t{i}"))
    eventually(lambda: daemon.books().totals["misses"] > 20, "they work")
    a.start("exit", 3)
    assert a.wait() == 3
    daemon.quiet(sessions=0, in_use=0, idle=0, quarantined=0)


def test_exit_WithoutGoodbye(daemon):
    a = daemon.probe("a")
    a.buffer(MIB)
    a.start("_exit", 5)
    assert a.wait() == 5
    daemon.quiet(sessions=0, in_use=0, quarantined=0)


def test_exec_OfTheProgramItself(daemon):
    """The new program of the same pid begins a session of its own."""
    a = daemon.probe("a")
    a.buffer(MIB)
    a.start("exec", "/proc/self/exe")
    daemon.quiet(in_use=0, quarantined=MIB)
    a.buffer(2 * MIB)
    daemon.quiet(in_use=2 * MIB, quarantined=MIB)
    a.kill()
    daemon.quiet(sessions=0, in_use=0, quarantined=0)


def test_threads_SixtyFour(workshop):
    daemon = workshop.daemon(capacity=128 * MIB, limit=128 * MIB)
    a = daemon.probe("a")
    result = a.call("many", 64, 200, 96 * KIB)
    assert result == {"wrong": 0, "errors": {}}, result
    counted = a.stats()
    assert counted["hits"] + counted["misses"] == 64 * 200
    assert counted["misses"] <= 64 * 2, counted
    daemon.quiet(in_use=0)
    daemon.check()


def test_threads_ANewOneForEachRequest(daemon):
    """1,500 threads, more than there are counter lines; each finds the last one's buffer in the depot."""
    a = daemon.probe("a")
    a.call("fresh", 1500, MIB)
    counted = a.stats()
    assert counted["hits"] + counted["misses"] == 1500, counted
    assert counted["misses"] == 1 and counted["hits_depot"] == 1499, counted
    daemon.quiet(cache_items=1, cache_bytes=MIB, in_use=0)


def test_threads_ProducerAndConsumer(daemon):
    """What the consumer releases goes home: the producer asks the daemon a few times and never again."""
    a = daemon.probe("a")
    producer, consumer = a.thread("producer"), a.thread("consumer")
    for seed in range(1, 200):
        item = a.buffer(256 * KIB, thread=producer)
        a.call("fill", item, seed, thread=producer)
        assert a.call("check", item, seed, thread=consumer)["wrong"] == 0
        a.drop(item, thread=consumer)
    counted = a.stats()
    assert counted["misses"] == 1 and counted["hits_exact"] == 198, counted
    daemon.quiet(in_use=0, cache_items=1)


def test_threads_ManyProducersWithOneConsumer(daemon):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    a = daemon.probe("a")
    producers = [a.thread(f"p{i}") for i in range(6)]
    consumer = a.thread("consumer")
    made = []
    for round_ in range(300):
        who = rng.choice(producers)
        item = a.buffer(rng.choice([64, 128, 256]) * KIB, thread=who)
        a.call("fill", item, round_ + 1, thread=who)
        made.append((item, round_ + 1))
        if len(made) > 12:
            item, pattern = made.pop(rng.randrange(len(made)))
            assert a.call("check", item, pattern, thread=consumer)["wrong"] == 0
            a.drop(item, thread=consumer)
        if round_ % 50 == 49:  # a producer leaves with items under way, another takes its name
            leaver = rng.choice(producers)
            a.join(leaver)
            a.thread(leaver)
    for item, pattern in made:
        assert a.wrong(item, pattern) == 0
    a.drop()
    daemon.quiet(in_use=0)
    daemon.check()


def test_stop_OfAForkedChildOnly(daemon):
    """A stopped child holds nothing up but the proof of its parent's death."""
    a, b = daemon.probe("a"), daemon.probe("b")
    a.buffer(MIB)
    child = a.fork("live")["pid"]
    stop(child)
    a.kill()
    daemon.quiet(quarantined=MIB)
    b.buffer(MIB, 8)
    assert process_state(child) == "T"
    kill_child(child)
    daemon.quiet(quarantined=0)
