"""M2 on a GPU: a block passes to another process only when the GPU is done with it, however it was used.

The pool is one slab of 16 blocks. The first process holds 15 and uses the last: a gate stands for a kernel, with a fill
behind it; then it releases, and the second process asks for a block. There is no other one: it must not get it while
the gate is shut, and what it writes must stay.
"""

import pytest
from gpu_daemon import FAKE
from workers import LOOK, WORD, refuses, takes_and_keeps, writer

MINE, YOURS = WORD, 0x11121314

# How the memory is used and released; `gate` and `t` are there, `use(stream)` submits the work.
USES = {
    "legacy": "use(LEGACY)\ndel t",
    "per_thread": "s = nvcv.as_stream(PER_THREAD)\nwith s: p = pointer(t)\nuse(PER_THREAD)\ndel t",
    "own_stream": "s = nvcv.Stream()\nwith s: p = pointer(t)\nuse(s.handle)\ndel t",
    "own_stream_dropped_first": "s = nvcv.Stream()\nwith s: p = pointer(t)\nuse(s.handle)\ndel s\ngc.collect()\ndel t",
    "handle_destroyed_after": (
        "h = driver.stream()\nwith nvcv.as_stream(h):\n    p = pointer(t)\n    use(h)\n    del t\ndriver.StreamDestroy(h)"
    ),
    "handle_destroyed_before": (
        "h = driver.stream()\nwith nvcv.as_stream(h): p = pointer(t)\nuse(h)\ndriver.StreamDestroy(h)\ndel t"
    ),
    "record_stream": "h = driver.stream()\np = pointer(t)\nt.record_stream(h)\nuse(h)\ndel t",
    "two_streams": (
        "a, b = nvcv.Stream(), nvcv.Stream()\nwith a: p = pointer(t)\nt.record_stream(b)\n"
        "driver.fill(p, 7, 4096, a.handle)\nuse(b.handle)\ndel t"
    ),
    "three_streams": (
        "many = [nvcv.Stream() for _ in range(3)]\np = pointer(t)\nfor s in many: t.record_stream(s)\n"
        "use(many[0].handle)\ndel t"
    ),
    "dlpack_consumer": "h = driver.stream()\np = pointer(t)\nc = t.__dlpack__(stream=h)\nuse(h)\ndel c\ndel t",
    "released_elsewhere": (
        "s = nvcv.Stream()\nwith s: p = pointer(t)\nuse(s.handle)\nbox = [t]\ndel t\nin_thread(box.clear)"
    ),
    "legacy_released_elsewhere": "p = pointer(t)\nuse(LEGACY)\nbox = [t]\ndel t\nin_thread(box.clear)",
    "event_recorded_again": (
        "s = nvcv.Stream()\nwith s:\n    p = pointer(t)\n    use(s.handle)\n    del t\n"
        "    for _ in range(100):\n        u = tensor(BLOCK)\n        pointer(u)\n        del u"
    ),
    "hit_not_handed_out_after": "p = pointer(t)\nuse(LEGACY)\ndel t\nt = tensor(BLOCK)\ndel t",
    "per_thread_released_elsewhere": (
        "s = nvcv.as_stream(PER_THREAD)\nwith s: p = pointer(t)\nuse(PER_THREAD)\nbox = [t]\ndel t\nin_thread(box.clear)"
    ),
    "per_thread_of_an_ended_thread": (
        "box = [t]\ndef work():\n    with nvcv.as_stream(PER_THREAD): p = pointer(box[0])\n    use(PER_THREAD, p)\n"
        "del t\nin_thread(work)\nbox.clear()"
    ),
    "dlpack_without_a_wait": "p = pointer(t)\nc = t.__dlpack__(stream=-1)\nuse(LEGACY)\ndel t\ndel c",
    "stream_of_an_ended_thread": (
        "box = [t]\ndef work():\n    s = nvcv.Stream()\n    with s: p = pointer(box[0])\n    use(s.handle, p)\n"
        "del t\nin_thread(work)\nbox.clear()"
    ),
}

SETUP = f"""
gate = Gate({{gate!r}})
rest = [tensor(BLOCK) for _ in range(15)]
t = tensor(BLOCK)
p = pointer(t) if {{early}} else None
def use(stream, at=None):
    gate.hold(driver, stream)
    driver.fill(at or p, {MINE}, BLOCK, stream)
"""
# What binds a stream of its own must be the first to take the pointer.
EARLY = {"legacy", "legacy_released_elsewhere", "hit_not_handed_out_after"}


@pytest.mark.parametrize("how", USES)
def test_a_block_waits_for_the_work_on_it(how, one_block, client, gate):
    first, second = client(one_block), client(one_block, timeout=0.5)
    first(SETUP.format(gate=gate.name, early=how in EARLY))
    first(USES[how])
    refuses(second)
    gate.open()
    takes_and_keeps(client(one_block, timeout=20.0))


def test_an_event_recorded_again_ends_only_what_was_before_it(one_block, client, gate, second_gate):
    """Two blocks, one after the other on one stream, each behind a gate of its own: the first gate frees the first alone."""
    owner = client(one_block)
    owner(
        f"one, two = Gate({gate.name!r}), Gate({second_gate.name!r}); s = nvcv.Stream()\n"
        "rest = [tensor(BLOCK) for _ in range(14)]; t, u = tensor(BLOCK), tensor(BLOCK)\n"
        "with s: p, q = pointer(t), pointer(u)\n"
    )
    owner(f"with s:\n    one.hold(driver, s.handle); driver.fill(p, {MINE}, BLOCK, s.handle); del t\n")
    refuses(client(one_block, timeout=0.5))  # by now the GPU is to report the first record
    owner(f"with s:\n    two.hold(driver, s.handle); driver.fill(q, {MINE}, BLOCK, s.handle); del u\n")
    gate.open()
    takes_and_keeps(client(one_block, timeout=20.0))
    refuses(client(one_block, timeout=0.5))
    second_gate.open()
    takes_and_keeps(client(one_block, timeout=20.0))


def test_a_long_kernel_keeps_the_block_that_its_process_released(real_gpu, one_block, client, gate):
    pytest.importorskip("cupy")
    owner = client(one_block)
    assert owner(writer(gate))
    owner("del t, a")
    refuses(client(one_block, timeout=0.5))
    gate.open()
    heir = client(one_block, timeout=20.0)
    takes_and_keeps(heir)
    assert heir(LOOK) == 0


@pytest.mark.skipif(not FAKE, reason="a GPU's few hardware queues hold up the other streams too")
def test_a_timeline_is_bound_to_another_stream_only_when_it_is_free(one_block, client, gate):
    """More streams than a thread keeps timelines for: neither one that an object in use names nor one whose work goes on
    is taken for another stream, whose event would be reached at once."""
    owner = client(one_block)
    owner(
        f"gate = Gate({gate.name!r}); s, *many = (nvcv.Stream() for _ in range(80))\n"
        "rest = [tensor(BLOCK) for _ in range(15)]; t = tensor(BLOCK)\nwith s: p = pointer(t)\n"
        "def many_uses():\n    for o in many:\n        with o: u = rest.pop(); pointer(u); del u\n"
        "        rest.append(tensor(BLOCK))\n"
        "many_uses()"
    )
    owner(f"gate.hold(driver, s.handle); driver.fill(p, {MINE}, BLOCK, s.handle); del t\nmany_uses()")
    refuses(client(one_block, timeout=0.5))
    gate.open()
    takes_and_keeps(client(one_block, timeout=20.0))


def test_one_hung_stream_hides_no_other(one_block, client, gate):
    """Nine blocks are released on nine streams, one of which never gets on: the other eight pass on."""
    owner = client(one_block)
    owner(
        f"gate = Gate({gate.name!r}); rest = [tensor(BLOCK) for _ in range(7)]; held = [tensor(BLOCK) for _ in range(9)]\n"
        "streams = [nvcv.Stream() for _ in range(9)]\n"
        "for i, (t, s) in enumerate(zip(held, streams)):\n    with s: p = pointer(t)\n"
        "    if i == 0: gate.hold(driver, s.handle)\n"
        f"    for _ in range(50): driver.fill(p, {MINE}, BLOCK, s.handle)\n"
        "del t; held.clear()"
    )
    other = client(one_block, timeout=1.0)
    other("got = [tensor(BLOCK) for _ in range(8)]")
    refuses(other)


@pytest.mark.parametrize("streams", ["own", "legacy_to_own", "per_thread"])
def test_reuse_in_the_process_waits_on_another_stream(streams, roomy, client, gate):
    worker = client(roomy)
    worker(f"gate = Gate({gate.name!r}); a, b = nvcv.Stream(), nvcv.Stream(); n = 1 << 20")
    first = {"own": "a", "legacy_to_own": "nvcv.Stream.default", "per_thread": "nvcv.as_stream(PER_THREAD)"}[streams]
    assert worker(
        f"a = {first}\nh = a.handle or LEGACY\n"
        "with a:\n    t = tensor(n); p = pointer(t); gate.hold(driver, h)\n"
        f"    driver.fill(p, {MINE}, n, h); del t\n"
        f"with b:\n    t = tensor(n); q = pointer(t); driver.fill(q, {YOURS}, n, b.handle)\n"
        "result = p == q"
    )
    worker("gate.open(); b.sync(); driver.StreamSynchronize(h)")
    assert worker(f"result = driver.wrong_words(q, {YOURS}, n)") == 0


def test_a_dlpack_consumer_waits_for_the_current_stream(roomy, client, gate):
    worker = client(roomy)
    worker(
        f"gate = Gate({gate.name!r}); s, h = nvcv.Stream(), driver.stream(); n = 1 << 20; t = tensor(n)\n"
        f"with s:\n    p = pointer(t); gate.hold(driver, s.handle); driver.fill(p, {MINE}, n, s.handle)\n"
        f"    c = t.__dlpack__(stream=h)\ndriver.fill(p, {YOURS}, n, h)"
    )
    worker("gate.open(); s.sync(); driver.StreamSynchronize(h)")
    assert worker(f"result = driver.wrong_words(p, {YOURS}, n)") == 0


@pytest.mark.skipif(not FAKE, reason="a real driver does not count calls")
def test_a_hit_makes_no_call_to_the_driver(roomy, client):
    """Of memory that is not handed out; what is handed out on one stream takes one event, and looks at what is current."""
    worker = client(roomy)
    worker(
        "n = ctypes.c_ulonglong()\n"
        "def calls():\n    driver.FakeCalls(ctypes.byref(n)); return n.value\n"
        "s = nvcv.Stream()\ndef uses(hand_out):\n    before = calls()\n"
        "    for _ in range(100):\n        t = tensor(4096)\n        if hand_out: pointer(t)\n        del t\n"
        "    return calls() - before\nwith s: uses(True)"
    )
    assert worker("with s: result = uses(False)") == 0
    assert worker("with s: result = uses(True)") <= 610
    assert worker("result = nvcv.stats()['misses']") == 1


def test_many_objects_on_many_streams_keep_their_words(roomy, client):
    """Two processes make, fill, check and drop as fast as they can in a pool too small for both."""
    code = """
import random
random.seed(seed)
streams = [nvcv.Stream() for _ in range(4)]
wrong, live = 0, []
def check(entry):
    t, p, n, value, s = entry
    with s:
        driver.fill(p + n // 2, value, n // 2, s.handle)
        s.sync()
    return driver.wrong_words(p, value, n)
for i in range(rounds):
    s, n, value = random.choice(streams), random.choice([4096, 1 << 16, 1 << 20]), 0x01020300 + i % 251
    with s:
        t = tensor(n); p = pointer(t); driver.fill(p, value, n, s.handle)
    live.append((t, p, n, value, s))
    if len(live) > 8:
        wrong += check(live.pop(random.randrange(len(live))))
result = wrong
"""
    workers = [client(roomy) for _ in range(2)]
    for seed, worker in enumerate(workers):
        worker.send(f"seed, rounds = {seed}, 300\n{code}")
    assert [worker.answer() for worker in workers] == [0, 0]
