"""What goes wrong in a client on a GPU is said clearly and harms nobody else: captures, resets, sticky errors."""

import pytest
from gpu_daemon import eventually
from workers import WORD, WorkerError, refuses, takes_and_keeps

GLOBAL, THREAD_LOCAL, RELAXED = 0, 1, 2
CAPTURE = """
import ctypes
graph = ctypes.c_void_p()
h = driver.stream()
s = nvcv.as_stream(h)
def begin(mode): driver.StreamBeginCapture(h, mode)
def end(): driver.StreamEndCapture(h, ctypes.byref(graph))
"""


@pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL, RELAXED])
def test_memory_is_not_handed_out_on_a_capturing_stream(mode, roomy, client):
    worker = client(roomy)
    worker(CAPTURE + f"t = tensor(4096)\nbegin({mode})")
    with pytest.raises(WorkerError, match="capturing a graph") as refused:
        worker("with s: pointer(t)")
    assert refused.value.name == "InvalidArgument"
    with pytest.raises(WorkerError, match="capturing a graph"):
        worker("t.record_stream(s)")
    worker("end()")
    worker("with s: pointer(t)")


@pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL, RELAXED])
def test_what_is_released_into_a_capture_is_never_reused(mode, one_block, client):
    worker = client(one_block)
    worker(
        CAPTURE + f"rest = [tensor(BLOCK) for _ in range(15)]\nt = tensor(BLOCK)\nwith s: p = pointer(t)\nbegin({mode})"
    )
    worker(f"driver.fill(p, {WORD}, BLOCK, h)\nwith s: del t\nend()")
    refuses(client(one_block, timeout=0.5))
    worker.kill()
    takes_and_keeps(client(one_block, timeout=20.0))


@pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL, RELAXED])
def test_a_capture_on_another_thread_goes_on(mode, roomy, client):
    """Acquires (hits and misses), releases and the flusher do not disturb it."""
    worker = client(roomy)
    worker(
        CAPTURE + "import threading\nbusy, done, lost = threading.Event(), threading.Event(), []\n"
        "def capture():\n    driver.primary_context()\n"
        f"    try:\n        begin({mode})\n        busy.set(); done.wait(30)\n        end()\n"
        "    except CudaError as error: lost.append(str(error))\n    finally: busy.set()\n"
        "thread = threading.Thread(target=capture); thread.start(); busy.wait(30)\n"
    )
    worker(
        "o = nvcv.as_stream(PER_THREAD)\n"
        "for i in range(200):\n    with o:\n        t = tensor(4096 << i % 10); p = pointer(t)\n"
        "        driver.fill(p, 7, 4096, PER_THREAD); del t"
    )
    assert worker("done.set(); thread.join(); result = lost") == []


def test_a_reset_of_the_gpu_is_said(roomy, client):
    worker, other = client(roomy), client(roomy)
    worker("t = tensor(1 << 20); p = pointer(t)")
    worker("driver.DevicePrimaryCtxReset(0)")
    for use in ("pointer(t)", "u = tensor(1 << 22); pointer(u)"):
        with pytest.raises(WorkerError, match="reset its GPU") as refused:
            worker(use)
        assert refused.value.name == "DeviceError"
    worker("del t; gc.collect()")  # inert
    assert (
        other(
            f"t = tensor(1 << 20); p = pointer(t); driver.fill(p, {WORD}, 1 << 20, LEGACY)\n"
            f"driver.StreamSynchronize(LEGACY); result = driver.wrong_words(p, {WORD}, 1 << 20)"
        )
        == 0
    )
    code, said = worker.leave()
    assert code == 0, said


def test_a_sticky_error_is_said_and_harms_nobody(real_gpu, roomy, client):
    pytest.importorskip("cupy")
    worker, other = client(roomy), client(roomy)
    worker(
        "import cupy\nt = tensor(1 << 20)\na = cupy.asarray(t)\n"
        "bad = cupy.RawKernel('extern \"C\" __global__ void bad(int* p) { *(volatile int*)8 = 1; }', 'bad')\n"
        "bad((1,), (1,), (a,))\n"
    )
    with pytest.raises(WorkerError):
        worker("cupy.cuda.Device().synchronize()")
    with pytest.raises(WorkerError) as refused:
        worker("u = tensor(64 << 20); pointer(u)")
    assert refused.value.name == "DeviceError" and "CUDA" in refused.value.text
    worker("del t, a")
    assert (
        other(
            f"t = tensor(1 << 20); p = pointer(t); driver.fill(p, {WORD}, 1 << 20, LEGACY)\n"
            f"driver.StreamSynchronize(LEGACY); result = driver.wrong_words(p, {WORD}, 1 << 20)"
        )
        == 0
    )
    worker.kill()
    eventually(lambda: roomy.stats()["pool"]["bytes"]["quarantined"] == 0, "its memory is back")


def test_a_stream_of_another_context_is_refused(real_gpu, roomy, client):
    worker = client(roomy)
    with pytest.raises(WorkerError, match="another context"):
        worker(
            "t = tensor(4096); c = ctypes.c_void_p(); before = driver.primary_context()\n"
            "assert ctypes.CDLL('libcuda.so.1').cuCtxCreate_v2(ctypes.byref(c), 0, 0) == 0; h = driver.stream(); driver.CtxSetCurrent(before)\n"
            "t.record_stream(h)"
        )


def test_strict_streams_see_work_that_nobody_named(one_block, client, gate):
    worker = client(one_block, strict_streams=True)
    worker(
        f"gate = Gate({gate.name!r})\nrest = [tensor(BLOCK) for _ in range(15)]\nt = tensor(BLOCK); p = pointer(t); h = driver.stream()\n"
        f"gate.hold(driver, h); driver.fill(p, {WORD}, BLOCK, h)\ndel t"
    )
    refuses(client(one_block, timeout=0.5))
    gate.open()
    takes_and_keeps(client(one_block, timeout=20.0))
