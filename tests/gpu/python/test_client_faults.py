"""What goes wrong in a client on a GPU is said clearly and harms nobody else: resets, sticky errors, foreign streams."""

import pytest
from gpu_daemon import FAKE
from workers import WORD, WorkerError, refuses, takes_and_keeps


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


def test_what_a_reset_process_had_waits_for_its_end(one_block, client):
    """The driver says no more of its work: what it had in use when it reset the GPU is nobody's before it has ended."""
    owner = client(one_block)
    owner("rest = [tensor(BLOCK) for _ in range(15)]; t = tensor(BLOCK); p = pointer(t)")
    owner(f"driver.fill(p, {WORD}, BLOCK, LEGACY); driver.StreamSynchronize(LEGACY)")
    owner("driver.DevicePrimaryCtxReset(0)")
    owner("del t; gc.collect()")
    refuses(client(one_block, timeout=0.5))
    assert owner.leave() == (0, "")
    takes_and_keeps(client(one_block, timeout=20.0))


@pytest.mark.skipif(not FAKE, reason="a real driver does not fail on command")
@pytest.mark.parametrize(
    "call", ["cuEventRecord:700", "cuEventQuery:700", "cuEventQuery:999", "cuStreamIsCapturing:700"]
)
def test_an_error_of_the_driver_keeps_the_block_until_the_end(call, place, one_block, client):
    """Anything but "not ready": the work may not be over."""
    owner, other = client(one_block, environment={"FAKE_CUDA_FAIL": call}), client(one_block)
    owner("rest = [tensor(BLOCK) for _ in range(14)]; t = tensor(BLOCK); s = nvcv.Stream()\nwith s: p = pointer(t)")
    takes_and_keeps(other)
    (place.directory / "fake" / "fail").touch()
    owner("del t")
    refuses(client(one_block, timeout=0.5))
    (place.directory / "fake" / "fail").unlink()  # once is enough
    refuses(client(one_block, timeout=0.5))
    owner.kill()
    takes_and_keeps(client(one_block, timeout=20.0))


def test_a_sticky_error_is_said_and_harms_nobody(real_gpu, place, client):
    """Its context is of no more use: nothing tells that its work is over before it ends."""
    pytest.importorskip("cupy")
    daemon = place.start("--device=cuda:0", "--capacity=16MiB", "--limit=16MiB", "--slab-size=8MiB", "--keep-time=1h")
    worker, other = client(daemon), client(daemon)
    worker(
        "import cupy\nrest = [tensor(BLOCK) for _ in range(15)]; t = tensor(BLOCK)\na = cupy.asarray(t)\n"
        "bad = cupy.RawKernel('extern \"C\" __global__ void bad(int* p) { *(volatile int*)8 = 1; }', 'bad')\n"
        "bad((1,), (1,), (a,))\n"
    )
    with pytest.raises(WorkerError):
        worker("cupy.cuda.Device().synchronize()")
    with pytest.raises(WorkerError) as refused:
        worker("u = tensor(8 << 20); pointer(u)")
    assert refused.value.name == "DeviceError" and "CUDA context is broken" in refused.value.text, refused.value
    other("BLOCK = 8 << 20")
    takes_and_keeps(other)
    worker("del t, a; gc.collect()")
    refuses(client(daemon, timeout=0.5))
    worker.kill()
    takes_and_keeps(client(daemon, timeout=20.0))


@pytest.mark.skipif(not FAKE, reason="a real driver is of one version")
def test_an_old_driver_is_said(roomy, client):
    worker = client(roomy, environment={"FAKE_CUDA_LACKS": "cuCtxSetLimit"})
    with pytest.raises(WorkerError, match=r"older than 12.0 \(525\).*install driver 525") as refused:
        worker("tensor(4096)")
    assert refused.value.name == "DeviceError"
    worker = client(roomy, environment={"FAKE_CUDA_LACKS": "cuCtxRecordEvent", "FAKE_CUDA_VERSION": "12040"})
    with pytest.raises(WorkerError, match=r"strict_streams was asked for.*12040.*12050.*record_stream") as refused:
        worker("nvcv.connect(strict_streams=True)\ntensor(4096)")
    assert refused.value.name == "DeviceError"


@pytest.mark.skipif(not FAKE, reason="a real driver is of one version")
def test_M2_without_an_event_of_the_whole_context(one_block, client, gate):
    """Drivers before 12.5: the stream itself takes the event."""
    owner = client(one_block, environment={"FAKE_CUDA_LACKS": "cuCtxRecordEvent"})
    owner(
        f"gate = Gate({gate.name!r}); rest = [tensor(BLOCK) for _ in range(15)]; t = tensor(BLOCK); h = driver.stream()\n"
        f"t.record_stream(h); p = pointer(t); gate.hold(driver, h); driver.fill(p, {WORD}, BLOCK, h); del t"
    )
    refuses(client(one_block, timeout=0.5))
    gate.open()
    takes_and_keeps(client(one_block, timeout=20.0))


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
