"""What a GPU's daemon lives among: an earlier daemon's memory, a GPU that is full from outside, other users, processes
in namespaces of their own."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from gpu_daemon import FAKE, eventually
from workers import PRELUDE, WORD, WorkerError, refuses, takes_and_keeps

MIB = 1 << 20


def gets(worker, size):
    """Whether the worker gets as much, which it then keeps in `mine`."""
    try:
        worker(f"mine = globals().get('mine', []); mine.append(tensor({size}))")
    except WorkerError as error:
        assert error.name == "OutOfMemory", error
        return False
    return True


# ---- memory that the pool cannot have


def test_L3_ANewDaemonPlansAroundWhatIsPinned(place, client):
    daemon = place.start("--device=cuda:0", "--capacity=100%", "--limit=100%")
    chunk = daemon.stats()["device"]["total_bytes"] // 8 // (2 * MIB) * (2 * MIB)
    old = client(daemon)
    old(f"held = [tensor({chunk}) for _ in range(4)]")
    daemon.kill()
    fresh = place.start("--device=cuda:0", f"--socket={daemon.socket}", "--capacity=100%", "--limit=100%")
    assert "foreign bytes=" in fresh.text()
    young = client(fresh)
    count = 0
    while gets(young, chunk):
        count += 1
    assert 1 <= count <= 4, count
    with pytest.raises(WorkerError, match=r"left of .*\(memory of the GPU\)|beside it of an earlier daemon's clients"):
        young(f"tensor({chunk})")
    old.kill()  # its end lets go of the memory
    eventually(lambda: gets(young, chunk), "the memory is back")


TAKE_ALL = """
taken, size = [], 1 << 34
while size >= 1 << 21:
    at = ctypes.c_uint64()
    try:
        driver.MemAlloc(ctypes.byref(at), size)
        taken.append(at.value)
    except CudaError as error:
        if error.code != 2: raise
        size //= 2
"""


def test_C8_FullFromOutside(place, client):
    daemon = place.start("--device=cuda:0", "--capacity=100%", "--limit=100%", "--keep-time=1h")
    a, b, outside = client(daemon), client(daemon), client(daemon)
    a(f"t = tensor({64 * MIB})")
    b("nvcv.connect()")  # a session takes some of the GPU's memory for itself
    outside(TAKE_ALL)
    with pytest.raises(WorkerError) as refused:
        b(f"tensor({32 * MIB})")
    assert refused.value.name == "OutOfMemory"
    assert f"pid {a.pid} 64" in refused.value.text and "(memory of the GPU)" in refused.value.text, refused.value.text
    a("del t")  # idle from here on: it serves others before anybody is refused
    eventually(lambda: gets(b, 32 * MIB), "b has what a left idle")
    outside("for at in taken: driver.MemFree(at)")
    eventually(lambda: gets(b, 128 * MIB), "and more, once the others let go")


def test_C8_FullFromOutside_WaitsForWhatDrains(place, client, gate):
    """Nothing is idle and done: the request waits for the memory whose work goes on, and then has it."""
    daemon = place.start("--device=cuda:0", "--capacity=100%", "--limit=100%", "--keep-time=1h")
    a, b, outside = client(daemon), client(daemon, timeout=30.0), client(daemon)
    a(f"gate = Gate({gate.name!r}); t = tensor({64 * MIB}); p = pointer(t)")
    a(f"gate.hold(driver, LEGACY); driver.fill(p, {WORD}, {64 * MIB}, LEGACY)")
    b("nvcv.connect()")
    outside(TAKE_ALL)
    a("del t")
    b.send(f"t = tensor({64 * MIB})")
    eventually(lambda: daemon.stats()["leases"]["draining"] == 1, "what a left is on its way to b")
    assert not b.answers_within(0.3)
    gate.open()
    b.answer()
    fill = f"driver.fill(pointer(t), {WORD}, {64 * MIB}, LEGACY); driver.StreamSynchronize(LEGACY)"
    assert b(f"{fill}; result = driver.wrong_words(pointer(t), {WORD}, {64 * MIB})") == 0


@pytest.mark.skipif(not FAKE, reason="a real driver does not wait on command")
def test_ASlowDriverHoldsUpNobodyElse(place, client):
    """The daemon's calls to the driver are its worker's: who needs none of them is served meanwhile."""
    daemon = place.start("--device=cuda:0", "--capacity=64MiB", "--slab-size=8MiB", FAKE_CUDA_HOLD="cuMemAlloc")
    first, second = client(daemon, timeout=30.0), client(daemon, timeout=5.0)
    first("t = tensor(4096)")
    second("t = tensor(4096); u = tensor(1 << 20)")
    (place.directory / "fake" / "hold").touch()
    first.send(f"v = tensor({16 * MIB})")
    assert not first.answers_within(0.1)
    for n in range(20):
        second(f"kept{n} = tensor({64 << 10})")  # misses that the pool serves
    assert daemon.stats()["sessions"] == 2
    client(daemon, timeout=5.0)("t = tensor(4096)")
    assert not first.answers_within(0)
    (place.directory / "fake" / "hold").unlink()
    first.answer()


# ---- domains


@pytest.mark.skipif(os.geteuid() != 0, reason="to be two users takes root")
def test_M4_WhatAnotherUserGetsIsZeroAndASlabOfItsOwn(place, client):
    os.chmod(place.directory, 0o755)
    os.chmod(place.directory / "fake", 0o777)
    sizes = [f"--{key}=8MiB" for key in ("capacity", "limit", "slab-size")]
    daemon = place.start("--device=cuda:0", f"--socket={place.directory}/open.sock", "--mode=0666", *sizes)
    a = client(daemon)
    a(f"t = tensor({8 * MIB}); driver.fill(pointer(t), {WORD}, {8 * MIB}, LEGACY); driver.StreamSynchronize(LEGACY)")
    a("del t")
    (slab,) = json.loads(daemon.ctl("slabs").stdout)
    b = client(daemon)
    b("import numpy; os.setgid(12345); os.setuid(12345)")  # whose the interpreter's files may not be
    b(f"t = tensor({8 * MIB})")
    assert b(f"result = driver.wrong_words(pointer(t), 0, {8 * MIB})") == 0
    (other,) = json.loads(daemon.ctl("slabs").stdout)
    assert other["id"] != slab["id"] and other["domain"] == "uid:12345" and slab["domain"] == "uid:0"


# ---- MIG and MPS


@pytest.mark.skipif(not FAKE, reason="only the fake GPU is divided here")
def test_mig_AClientFindsTheDaemonOfItsInstance(place, client):
    names = [f"MIG-fa000000-0000-0000-0000-00000000000{number}" for number in (0, 1)]
    daemons = [place.start(f"--device={name}", "--capacity=64MiB", FAKE_CUDA_MIG="2") for name in names]
    for daemon, name in zip(daemons, names, strict=True):
        own = {"NVCV_CACHED_ADDRESS": "", "FAKE_CUDA_MIG": "2", "CUDA_VISIBLE_DEVICES": name}
        worker = client(daemon, environment=own)
        assert worker("t = tensor(4096); p = pointer(t); result = nvcv.device().id") == name
        assert daemon.stats()["sessions"] == 1
        with pytest.raises(
            WorkerError, match=f"{names[names[0] == name]} was asked for; this process sees cuda:0 {name}"
        ):
            client(daemon, environment=own, device=names[names[0] == name])


@pytest.fixture
def mps(place):
    """The environment of a process under MPS: the machine's own control daemon, on pipes of this test."""
    if FAKE:
        yield {"FAKE_CUDA_MPS": "1"}
        return
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None:
        pytest.skip("no nvidia-cuda-mps-control here")
    folders = {f"CUDA_MPS_{kind}_DIRECTORY": str(place.directory / kind.lower()) for kind in ("PIPE", "LOG")}
    for folder in folders.values():
        os.mkdir(folder)
    environment = {**os.environ, **folders}
    started = subprocess.run([control, "-d"], env=environment, capture_output=True, text=True, timeout=60)
    if started.returncode != 0:
        pytest.skip(f"MPS does not start here: {started.stdout}{started.stderr}")
    yield folders
    subprocess.run([control], input="quit\n", env=environment, capture_output=True, text=True, timeout=60)


def test_M2_NeitherSideServesUnderMps(place, mps, client):
    refused = place.run("--device=cuda:0", **mps)
    assert refused.returncode == 4 and "do: stop MPS" in refused.stderr, refused
    daemon = place.start("--device=cuda:0", "--capacity=64MiB", "--limit=64MiB")  # without it
    under, beside = client(daemon, environment=mps), client(daemon)
    with pytest.raises(WorkerError, match="this process is under MPS") as error:
        under(f"tensor({MIB})")
    assert error.value.name == "DeviceError", error.value
    beside(f"tensor({MIB})")


# ---- namespaces

PLAY = f"""
{PRELUDE}
import json
t = tensor({4 * MIB})
driver.fill(pointer(t), {WORD}, {4 * MIB}, LEGACY)
driver.StreamSynchronize(LEGACY)
print(json.dumps({{"pid": os.getpid(), "wrong": driver.wrong_words(pointer(t), {WORD}, {4 * MIB})}}))
"""


def enter(*kinds):
    prefix = ["unshare", *kinds, "--fork", "--kill-child"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        pytest.skip(f"no right to {' '.join(kinds)} here")
    return prefix


def play(daemon, prefix, code=PLAY):
    environment = {**daemon.environment, "NVCV_CACHED_ADDRESS": str(daemon.socket), "NVCV_CACHED_AUTOSTART": "0"}
    command = [*prefix, sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)


NAMESPACES = {
    "pid": ["--pid", "--mount-proc"],
    "net": ["--net"],
    "ipc": ["--ipc", "--uts"],
    "user": ["--user", "--map-root-user"],
}
CONTAINER = ["--user", "--map-root-user", "--pid", "--mount-proc", "--net", "--ipc"]


@pytest.mark.parametrize("kinds", NAMESPACES.values(), ids=NAMESPACES)
def test_namespaces_AClientInAnotherOne(place, kinds):
    daemon = place.start("--device=cuda:0", "--capacity=64MiB", "--limit=64MiB")
    done = play(daemon, enter(*kinds))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["wrong"] == 0
    if "--pid" in kinds:
        assert answer["pid"] == 1


@pytest.mark.parametrize("end", ["released", "killed"])
def test_namespaces_MemoryPassesFromContainerToContainer(end, place, client, gate):
    """User, PID, network, IPC and mount namespaces of their own for the daemon and for each client, pid 1 both."""
    prefix = enter(*CONTAINER)
    flags = [f"--{key}=8MiB" for key in ("capacity", "limit", "slab-size")]
    daemon = place.start("--device=cuda:0", *flags, "--keep-time=1h", prefix=prefix)
    assert daemon.pid >= 1000
    owner, heir = (client(daemon, prefix=prefix, timeout=timeout) for timeout in (5.0, 0.5))
    assert [worker("result = os.getpid()") for worker in (owner, heir)] == [1, 1]
    owner(f"gate = Gate({gate.name!r}); rest = [tensor(BLOCK) for _ in range(15)]; t = tensor(BLOCK); p = pointer(t)")
    owner(f"gate.hold(driver, LEGACY); driver.fill(p, {WORD}, BLOCK, LEGACY)")
    refuses(heir)
    if end == "released":
        owner("del t")
        refuses(heir)
        gate.open()
    else:
        owner.kill()
    takes_and_keeps(client(daemon, prefix=prefix, timeout=20.0))


CLASH = """
import os, sys
with open("/proc/sys/kernel/ns_last_pid", "w") as last:
    last.write(str(TARGET - 1))
if (child := os.fork()) == 0:
    assert os.getpid() == TARGET, os.getpid()
    import nvcv_cached as nvcv
    try:
        nvcv.Tensor((4096,), "u1")
    except nvcv.Error as error:
        print(type(error).__name__, error)
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
"""


def test_namespaces_EqualPidNumbersAreNamed(place):
    daemon = place.start("--device=cuda:0", "--capacity=64MiB", "--limit=64MiB")
    done = play(daemon, enter("--pid", "--mount-proc"), CLASH.replace("TARGET", str(daemon.pid)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("DeviceError "), done
    assert f"this process is pid {daemon.pid}" in done.stdout and f"the daemon is pid {daemon.pid}" in done.stdout, done
