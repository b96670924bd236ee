"""Who dies, stops or forks in the middle of a kernel: the block passes on after the work, or after proven death."""

import os
import signal
import sys

import pytest
from gpu_daemon import FAKE, eventually
from workers import LOOK, WORD, refuses, takes_and_keeps, writer

EXECUTABLE = os.path.realpath(sys.executable)

SUBMIT = f"""
gate = Gate({{!r}})
rest = [tensor(BLOCK) for _ in range(15)]
t = tensor(BLOCK)
p = pointer(t)
gate.hold(driver, LEGACY)
driver.fill(p, {WORD}, BLOCK, LEGACY)
"""


@pytest.fixture(params=["released", "in_use"])
def submitted(request, one_block, client, gate):
    """A client with work behind a gate, and whether it has released the memory."""
    worker = client(one_block)
    worker(SUBMIT.format(gate.name))
    if request.param == "released":
        worker("del t")
    return worker


def test_an_owner_killed_in_its_work_leaves_the_block(submitted, one_block, client):
    submitted.kill()
    takes_and_keeps(client(one_block, timeout=20.0))


def test_an_owner_stopped_and_killed_in_its_work_leaves_the_block(one_block, client, gate):
    owner = client(one_block)
    owner(SUBMIT.format(gate.name))
    owner.stop()
    refuses(client(one_block, timeout=0.5))
    owner.kill()
    takes_and_keeps(client(one_block, timeout=20.0))


def test_an_owner_that_becomes_another_program_keeps_the_block_until_its_end(one_block, client, gate):
    """exec: its sockets are closed, and its process is the same."""
    owner = client(one_block)
    owner(SUBMIT.format(gate.name))
    owner.send("os.execv('/bin/sleep', ['sleep', '1000'])")
    eventually(lambda: os.readlink(f"/proc/{owner.pid}/exe") != EXECUTABLE, "it is another program")
    refuses(client(one_block, timeout=0.5))
    owner.kill()
    takes_and_keeps(client(one_block, timeout=20.0))


def fork_in(worker, first="pass"):
    """A child that never touched CUDA; it ends when the test says so."""
    return worker(
        f"child = os.fork()\nif child == 0:\n    import signal\n    {first}\n    while True: signal.pause()\nresult = child"
    )


def test_a_forked_child_keeps_the_block_until_it_ends(submitted, one_block, client):
    child = fork_in(submitted)
    try:
        submitted.kill()
        refuses(client(one_block, timeout=0.5))
    finally:
        os.kill(child, signal.SIGKILL)
    takes_and_keeps(client(one_block, timeout=20.0))


@pytest.mark.skipif(bool(FAKE), reason="the fake GPU stops with its process")
@pytest.mark.parametrize("slab", ["in_use", "all_idle"])
def test_a_stopped_owner_loses_what_it_left_idle(slab, one_block, client, gate):
    """The GPU itself tells the daemon; a slab of which nothing else is in use serves as well."""

    def another(**options):
        worker = client(one_block, **options)
        worker("BLOCK = 8 << 20" if slab == "all_idle" else "")
        return worker

    owner = another(environment={"NVCV_CACHED_LOG": "info"})
    submit = SUBMIT.format(gate.name)
    if slab == "all_idle":
        submit = submit.replace("range(15)", "()")
    owner(submit + "del t\n")
    refuses(another(timeout=0.5))  # by now the flusher has handed the fence over
    owner.stop()
    refuses(another(timeout=0.5))
    gate.open()
    try:
        takes_and_keeps(another(timeout=10.0))
    finally:
        owner.resume()
        said = owner.leave()[1]
        assert "does not report" not in said, said


def test_a_stopped_owner_keeps_what_it_uses(one_block, client, gate):
    """Stopped in the middle of its work, which goes on; nobody gets the block, not even once that is done."""
    owner = client(one_block)
    owner(SUBMIT.format(gate.name))
    owner.stop()
    gate.open()
    refuses(client(one_block, timeout=0.5))
    owner.resume()
    assert owner(f"driver.StreamSynchronize(LEGACY); result = driver.wrong_words(p, {WORD}, BLOCK)") == 0


def test_an_owner_stopped_right_after_the_release_is_waited_for(one_block, client, gate):
    """Whether or not its flusher had the time to look: the block changes hands after the work, and after that soon."""
    owner = client(one_block)
    owner("import signal\n" + SUBMIT.format(gate.name))
    owner.send("del t; os.kill(os.getpid(), signal.SIGSTOP)")
    os.waitid(os.P_PID, owner.pid, os.WSTOPPED | os.WNOWAIT)
    refuses(client(one_block, timeout=0.5))
    gate.open()
    owner.resume()
    owner.answer()
    takes_and_keeps(client(one_block, timeout=20.0))


@pytest.mark.parametrize("forked", [False, True], ids=["alone", "with_a_child"])
def test_a_killed_writer_writes_into_nobodys_memory(forked, real_gpu, one_block, client):
    pytest.importorskip("cupy")
    owner = client(one_block)
    assert owner(writer())
    child = fork_in(owner) if forked else None
    owner.kill()
    if child:
        refuses(client(one_block, timeout=1.0))
        os.kill(child, signal.SIGKILL)
    heir = client(one_block, timeout=20.0)
    takes_and_keeps(heir)
    assert heir(LOOK) == 0


def test_a_killed_writers_child_without_descriptors_keeps_no_kernel(real_gpu, one_block, client):
    """A child that closed all it inherited holds no copy of the descriptor socket, and must hold no kernel either."""
    pytest.importorskip("cupy")
    owner = client(one_block)
    assert owner(writer())
    child = fork_in(owner, "os.closerange(0, 65536)")
    try:
        eventually(lambda: not os.listdir(f"/proc/{child}/fd"), "the child has closed them")
        owner.kill()
        heir = client(one_block, timeout=20.0)
        takes_and_keeps(heir)
        assert heir(LOOK) == 0
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_killed_daemon_takes_nothing_from_its_clients(place, client, gate):
    flags = ["--device=cuda:0", "--capacity=64MiB", "--limit=64MiB"]
    daemon = place.start(*flags)
    worker = client(daemon, timeout=20.0)
    worker(SUBMIT.format(gate.name) + "kept = tensor(1 << 20); k = pointer(kept)\n")
    worker(f"driver.fill(k, {WORD}, 1 << 20, LEGACY)")
    daemon.kill()
    place.start(*flags)
    gate.open()
    worker("driver.StreamSynchronize(LEGACY)")
    assert worker(f"result = driver.wrong_words(p, {WORD}, BLOCK) + driver.wrong_words(k, {WORD}, 1 << 20)") == 0
    assert worker("u = tensor(1 << 20); q = pointer(u); result = q != k")
    worker("del t, kept")
    worker(f"driver.fill(q, {WORD}, 1 << 20, LEGACY); driver.StreamSynchronize(LEGACY)")
    assert worker(f"result = driver.wrong_words(q, {WORD}, 1 << 20)") == 0


def test_a_daemon_killed_under_load_is_followed_by_another(place, client):
    flags = ["--device=cuda:0", "--capacity=512MiB", "--limit=512MiB"]
    daemon = place.start(*flags)
    workers = [client(daemon, timeout=20.0) for _ in range(3)]
    code = """
wrong = 0
for i in range(3000):
    n, value = (1 << 12) << i % 8, 0x01020300 + i % 251
    try:
        t = tensor(n)
    except nvcv.Unavailable:  # a call goes to two daemons at most, and both may have been killed
        continue
    p = pointer(t); driver.fill(p, value, n, LEGACY)
    if i % 20 == 0:
        driver.StreamSynchronize(LEGACY)
        wrong += driver.wrong_words(p, value, n)
    del t
result = wrong
"""
    for worker in workers:
        worker.send(code)
    for _ in range(2):
        eventually(lambda now=daemon: now.stats()["totals"]["misses"] > 0, "somebody has asked")
        daemon.kill()
        daemon = place.start(*flags)
    assert [worker.answer() for worker in workers] == [0, 0, 0]


def test_a_program_that_ends_with_work_under_way_ends_quietly(roomy, client, gate):
    worker = client(roomy)
    worker(SUBMIT.format(gate.name) + "u = tensor(4096); pointer(u); del u\ngate.open()")
    code, said = worker.leave()
    assert (code, said) == (0, "")


def test_a_host_callback_that_never_returns_holds_up_its_own_block_alone(one_block, client):
    """cuLaunchHostFunc of a function that waits for ever: what is behind it is never done, what is beside it is."""
    worker = client(one_block)
    worker(
        "rest = [tensor(BLOCK) for _ in range(15)]\nt = tensor(BLOCK); h = driver.stream()\n"
        "with nvcv.as_stream(h): p = pointer(t)\n"
        "for_ever = ctypes.cast(ctypes.CDLL(None).pause, ctypes.c_void_p)\n"
        f"driver.LaunchHostFunc(h, for_ever, None); driver.fill(p, {WORD}, BLOCK, h)\ndel t"
    )
    refuses(client(one_block, timeout=0.5))
    other = client(one_block, timeout=20.0)
    worker(f"u = rest.pop(); q = pointer(u); driver.fill(q, {WORD}, BLOCK, LEGACY); del u")
    takes_and_keeps(other)  # what was beside it changes hands
    refuses(client(one_block, timeout=0.5))
    worker.kill()
    takes_and_keeps(client(one_block, timeout=20.0))
