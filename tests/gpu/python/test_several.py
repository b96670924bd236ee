"""Several GPUs in one process: one session each, and the thread's device decides."""

import ctypes
import os
import re
import signal

import pytest
from cuda_calls import CudaError, Driver
from gpu_daemon import BIN, FAKE, eventually
from workers import WORD, WorkerError

# What a thread does on a GPU of its own choosing, whatever is current elsewhere.
ON = """
contexts = {}
def on(ordinal):
    driver.CtxSetCurrent(contexts.setdefault(ordinal, driver.primary_context(ordinal)))

def gpu_of(tensor):
    assert tensor.__dlpack_device__()[0] == 2
    return tensor.__dlpack_device__()[1]

def filled(pointer, ordinal, value, nbytes):
    on(ordinal)
    driver.fill(pointer, value, nbytes, LEGACY)
    driver.StreamSynchronize(LEGACY)
    return driver.wrong_words(pointer, value, nbytes)
"""


def gpus_of_the_machine():
    count = ctypes.c_int()
    try:
        Driver().DeviceGetCount(ctypes.byref(count))
    except (OSError, CudaError):
        return 0
    return count.value


@pytest.fixture
def two(place, monkeypatch):
    """Two daemons, each at its GPU's own socket."""
    if FAKE:
        monkeypatch.setenv("FAKE_CUDA_DEVICES", "2")
    elif gpus_of_the_machine() < 2:
        pytest.skip(f"this machine has {gpus_of_the_machine()} GPU")
    return [place.start(f"--device=cuda:{ordinal}", "--capacity=256MiB", "--limit=256MiB") for ordinal in (0, 1)]


@pytest.fixture
def free(two, client):
    """Clients that find the daemons by themselves."""

    def start(environment=(), **options):
        worker = client(two[0], environment={"NVCV_CACHED_ADDRESS": "", **dict(environment)}, **options)
        worker(ON)
        return worker

    return start


def in_use(daemon):
    return daemon.stats()["pool"]["bytes"]["in_use"]


def test_the_current_gpu_decides(two, free):
    worker = free()
    ids = worker(
        "result = []\nkept = []\n"
        "for ordinal in (0, 1, 0, 1):\n"
        "    on(ordinal); t = tensor(1 << 20); assert gpu_of(t) == ordinal; kept.append(t)\n"
        "    result += [nvcv.device().id]\n"
    )
    assert ids == [two[0].uuid, two[1].uuid] * 2
    assert [in_use(daemon) for daemon in two] == [2 << 20, 2 << 20]
    assert (
        worker("result = [filled(pointer(t), n % 2, 0x01020304 + n, 1 << 20) for n, t in enumerate(kept)]") == [0] * 4
    )


def test_a_hit_stays_on_its_gpu(free):
    worker = free()
    assert worker(
        "pointers = {0: set(), 1: set()}\n"
        "for n in range(20):\n    on(n % 2); t = tensor(1 << 20); pointers[n % 2].add(pointer(t)); del t\n"
        "result = [len(pointers[0]), len(pointers[1]), len(pointers[0] | pointers[1])]"
    ) == [1, 1, 2]
    for ordinal in (0, 1):
        assert worker(f"on({ordinal}); result = [nvcv.stats()[k] for k in ('hits', 'misses')]") == [9, 1]


def test_both_alive_at_once_and_released_on_other_threads(two, free, gate):
    """Each is fenced in its own context: what was held up on either GPU keeps its block until it is done."""
    worker = free()
    worker(
        f"gate = [Gate({gate.name!r}), Gate({gate.name!r})]\n"  # one word, registered once for each GPU
        "held, streams, pointers = [], [], []\n"
        "for ordinal in (0, 1):\n"
        "    on(ordinal); t = tensor(BLOCK); h = driver.stream(); s = nvcv.as_stream(h)\n"
        "    with s: p = pointer(t)\n"
        f"    gate[ordinal].hold(driver, h); driver.fill(p, {WORD}, BLOCK, h)\n"
        "    held.append(t); streams.append(h); pointers.append(p); del t\n"
        "def drop():\n    on(0); held.clear()\n"
        "in_thread(drop)"
    )
    for daemon in two:
        held = daemon.stats()["pool"]["bytes"]
        assert (held["in_use"], held["idle"]) == (0, 1 << 19), held
    # Asked for back, the blocks drain until the gate is open.
    for daemon in two:
        daemon.ctl("clear")
        assert daemon.stats()["pool"]["bytes"]["draining"] == 1 << 19
    gate.open()
    for daemon in two:
        eventually(lambda d=daemon: d.stats()["pool"]["bytes"]["draining"] == 0, "the work is done")


def test_threads_work_on_both_at_once(free):
    worker = free()
    assert worker(
        "import random\nwrong = []\n"
        "def work(ordinal, value):\n"
        "    on(ordinal); s = nvcv.as_stream(driver.stream())\n"
        "    with s:\n"
        "        for n in range(40):\n"
        "            t = tensor(random.choice((4096, 1 << 16, 1 << 20)))\n"
        "            assert gpu_of(t) == ordinal\n"
        "            p = pointer(t); driver.fill(p, value + n, 4096, s.handle)\n"
        "            driver.StreamSynchronize(s.handle); wrong.append(driver.wrong_words(p, value + n, 4096))\n"
        "def run(*a):\n    try: work(*a)\n    except BaseException as e: wrong.append(repr(e))\n"
        "threads = [threading.Thread(target=run, args=(n % 2, 0x01020304 + (n << 8))) for n in range(8)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
        "result = [w for w in wrong if w != 0] + [len(wrong)]"
    ) == [320]


def test_a_stream_of_one_waits_for_one_of_the_other(free, gate):
    worker = free()
    worker(
        f"gate = Gate({gate.name!r})\non(0); a = nvcv.Stream(); t = tensor(4096)\n"
        "on(1); b = nvcv.Stream(); u = tensor(4096)\n"
        "with b: q = pointer(u)\n"
        f"on(1); driver.fill(q, 0, 4096, b.handle); driver.StreamSynchronize(b.handle)\n"
        "on(0); gate.hold(driver, a.handle)\n"
        f"b.wait_stream(a); on(1); driver.fill(q, {WORD}, 4096, b.handle)"
    )
    assert worker(f"result = driver.wrong_words(q, {WORD}, 4096)") == 1024
    gate.open()
    assert worker(f"b.sync(); result = driver.wrong_words(q, {WORD}, 4096)") == 0


def test_connect_names_the_threads_device(two, free):
    worker = free(device="cuda:1")
    assert worker("on(0); t = tensor(4096); result = [gpu_of(t), nvcv.device().id]") == [1, two[1].uuid]
    # A thread without a word of its own goes where the process went first.
    assert worker("result = in_thread(lambda: gpu_of(tensor(4096)))") == 1
    assert worker(f"nvcv.connect(device={two[0].uuid!r}); u = tensor(4096); result = [gpu_of(u), gpu_of(t)]") == [0, 1]
    assert worker("result = in_thread(lambda: gpu_of(tensor(4096)))") == 1
    assert worker("nvcv.connect(device='cuda:1'); result = gpu_of(tensor(4096))") == 1


def test_the_environment_names_the_processs_device(two, free):
    worker = free(environment={"NVCV_CACHED_DEVICE": "cuda:1"})
    assert worker("on(0); result = [gpu_of(tensor(4096)), nvcv.device().id]") == [1, two[1].uuid]


def test_an_address_of_another_device_is_said(two, free):
    worker = free(environment={"NVCV_CACHED_ADDRESS": str(two[0].socket)})
    with pytest.raises(WorkerError, match=r"was asked for; the daemon at .* serves") as refused:
        worker("nvcv.connect(device='cuda:1')")
    assert refused.value.name == "InvalidArgument"


def test_a_gpu_under_another_index_is_found_by_its_uuid(two, free):
    turned = free(environment={"CUDA_VISIBLE_DEVICES": "1,0"})
    assert turned("on(0); t = tensor(4096); result = [gpu_of(t), nvcv.device().id]") == [0, two[1].uuid]
    assert turned("on(1); u = tensor(4096); result = [gpu_of(u), nvcv.device().id]") == [1, two[0].uuid]
    one = free(environment={"CUDA_VISIBLE_DEVICES": "1"})
    assert one("t = tensor(4096); result = [gpu_of(t), nvcv.device().id]") == [0, two[1].uuid]
    with pytest.raises(WorkerError, match="this process sees cuda:0"):
        free(environment={"CUDA_VISIBLE_DEVICES": "0"}, device=two[1].uuid)


def test_a_killed_daemon_of_one_leaves_the_other_alone(two, free, place):
    worker = free()
    worker("on(0); t = tensor(1 << 20); p = pointer(t); on(1); u = tensor(1 << 20); q = pointer(u)")
    two[0].kill()
    assert worker(f"result = filled(p, 0, {WORD}, 1 << 20) + filled(q, 1, {WORD}, 1 << 20)") == 0
    assert worker("on(1); del u; result = pointer(tensor(1 << 20)) == q") is True
    place.start("--device=cuda:0", "--capacity=256MiB", "--limit=256MiB")
    assert worker("on(0); v = tensor(1 << 20); result = gpu_of(v)") == 0


def test_an_exit_with_objects_of_both_is_quiet(free):
    worker = free()
    worker("on(0); t = tensor(4096); p = pointer(t); on(1); u = tensor(4096); q = pointer(u)")
    assert worker.leave() == (0, "")


def test_a_daemon_is_started_for_each(place, client, monkeypatch):
    """No daemon: the first object on a GPU starts that GPU's."""
    count = 2 if FAKE else min(2, gpus_of_the_machine())
    if FAKE:
        monkeypatch.setenv("FAKE_CUDA_DEVICES", "2")

    class Nobody:
        environment = place.environment(FAKE_CUDA_DEVICES="2") if FAKE else place.environment()
        socket = ""

    settings = {
        "NVCV_CACHED_AUTOSTART": "1",
        "NVCV_CACHED_DAEMON": str(BIN / "nvcv-cached"),
        "NVCV_CACHED_TIMEOUT": "30s",
    }
    worker = client(Nobody, environment=settings)
    worker(ON)
    ids = worker(
        f"result = []\nfor ordinal in range({count}):\n"
        "    on(ordinal); t = tensor(1 << 20); result.append(nvcv.device().id)\n"
        "    assert gpu_of(t) == ordinal and filled(pointer(t), ordinal, 7, 1 << 20) == 0"
    )
    sockets = sorted(path.name for path in (place.directory / "nvcv-cached").glob("*.sock"))
    assert sockets == sorted(f"{name}.sock" for name in ids)
    worker.close()
    for lock in (place.directory / "nvcv-cached").glob("*.lock"):
        os.kill(int(re.search(r"^pid=(\d+)", lock.read_text(), re.MULTILINE).group(1)), signal.SIGTERM)
    eventually(lambda: not list((place.directory / "nvcv-cached").glob("*.sock")), "the started daemons have left")
