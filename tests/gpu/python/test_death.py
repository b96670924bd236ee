"""Who dies, stops or forks in the middle of a kernel: the block passes on after the work, or after proven death."""

import os
import signal

import pytest
from gpu_daemon import FAKE, eventually
from workers import WORD, refuses, takes_and_keeps

SUBMIT = f"""
gate = Gate({{!r}})
rest = [tensor(BLOCK) for _ in range(15)]
t = tensor(BLOCK)
p = pointer(t)
gate.hold(driver, LEGACY)
driver.fill(p, {WORD}, BLOCK, LEGACY)
"""

# Writes its word over the whole block until it is told to stop, or its process is gone.
WRITER = """
import cupy
stop = cupy.zeros(1, cupy.int32)
kernel = cupy.RawKernel(r'''
extern "C" __global__ void write(volatile unsigned* block, long long words, volatile int* stop) {
  const long long step = (long long)gridDim.x * blockDim.x;
  while (*stop == 0)
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < words; i += step) block[i] = 0x01020304u;
}''', "write")
rest = [tensor(BLOCK) for _ in range(15)]
t = tensor(BLOCK)
a = cupy.asarray(t)
s = cupy.cuda.Stream(non_blocking=True)
t.record_stream(s)
with s:
    kernel((64,), (256,), (a.view(cupy.uint32), BLOCK // 4, stop))
result = True
"""

# Whether somebody still writes: looked at again and again, for as long as a kernel would need to show itself.
LOOK = """
import time
end, wrong = time.monotonic() + 1.0, 0
while time.monotonic() < end:
    wrong += driver.wrong_words(p, 0x11121314, BLOCK)
result = wrong
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


def fork_in(worker):
    """A child that never touched CUDA; it ends when the test says so."""
    return worker(
        "child = os.fork()\nif child == 0:\n    import signal\n    while True: signal.pause()\nresult = child"
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


def test_a_stopped_owner_keeps_what_it_uses(one_block, client):
    owner = client(one_block)
    owner(
        f"rest = [tensor(BLOCK) for _ in range(15)]; t = tensor(BLOCK); p = pointer(t); driver.fill(p, {WORD}, BLOCK, LEGACY)"
    )
    owner.stop()
    refuses(client(one_block, timeout=0.5))
    owner.resume()
    assert owner(f"driver.StreamSynchronize(LEGACY); result = driver.wrong_words(p, {WORD}, BLOCK)") == 0


@pytest.mark.parametrize("forked", [False, True], ids=["alone", "with_a_child"])
def test_a_killed_writer_writes_into_nobodys_memory(forked, real_gpu, one_block, client):
    pytest.importorskip("cupy")
    owner = client(one_block)
    assert owner(WRITER)
    child = fork_in(owner) if forked else None
    owner.kill()
    if child:
        refuses(client(one_block, timeout=1.0))
        os.kill(child, signal.SIGKILL)
    heir = client(one_block, timeout=20.0)
    takes_and_keeps(heir)
    assert heir(LOOK) == 0


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
