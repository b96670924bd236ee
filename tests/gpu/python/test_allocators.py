"""Other libraries' allocators on the daemon's memory: allocator.h, and what torch, CuPy and RMM make of it."""

import pytest
from gpu_daemon import eventually
from workers import WORD, WorkerError, refuses, takes_and_keeps


def in_use(daemon):
    return daemon.stats()["pool"]["bytes"]["in_use"]


def test_a_freed_block_serves_again_on_its_stream(roomy, client):
    worker = client(roomy)
    assert worker(
        "from nvcv_cached._core import allocate, free\nh = driver.stream(); pointers = set()\n"
        "for n in range(10):\n    p = allocate(BLOCK, 0, h); pointers.add(p); driver.fill(p, n, BLOCK, h); free(p, 0, h)\n"
        "result = [len(pointers), nvcv.stats()['hits']]"
    ) == [1, 9]


def test_M2_freed_on_its_stream_a_block_waits_for_it(one_block, client, gate):
    worker = client(one_block)
    worker(
        f"from nvcv_cached._core import allocate, free\ngate = Gate({gate.name!r}); h = driver.stream()\n"
        "rest = [tensor(BLOCK) for _ in range(15)]\np = allocate(BLOCK, 0, h)\n"
        f"gate.hold(driver, h); driver.fill(p, {WORD}, BLOCK, h); free(p, 0, h)"
    )
    refuses(client(one_block, timeout=0.5))
    gate.open()
    takes_and_keeps(client(one_block, timeout=20.0))


def test_M2_freed_on_another_stream_a_block_waits_for_both(one_block, client, gate):
    worker = client(one_block)
    worker(
        f"from nvcv_cached._core import allocate, free\ngate = Gate({gate.name!r}); h, o = driver.stream(), driver.stream()\n"
        "rest = [tensor(BLOCK) for _ in range(15)]\np = allocate(BLOCK, 0, h)\n"
        f"gate.hold(driver, h); driver.fill(p, {WORD}, BLOCK, h); free(p, 0, o)"
    )
    refuses(client(one_block, timeout=0.5))
    gate.open()
    takes_and_keeps(client(one_block, timeout=20.0))


def test_a_failure_says_why(roomy, client):
    worker = client(roomy, timeout=0.5)
    worker("from nvcv_cached._core import allocate, free")
    with pytest.raises(WorkerError, match=r"asked 1.00 GiB") as refused:
        worker("allocate(1 << 30, 0, 0)")
    assert refused.value.name == "MemoryError"
    with pytest.raises(WorkerError, match="device cuda:7 was asked for"):
        worker("allocate(4096, 7, 0)")
    assert worker("result = [allocate(0, 0, 0), allocate(4096, 0, 0) != 0]") == [0, True]


def test_torch(real_gpu, roomy, client):
    pytest.importorskip("torch")
    worker = client(roomy)
    worker(
        "import torch, nvcv_cached.torch\npool = torch.cuda.MemPool(nvcv_cached.torch.allocator())\n"
        "with torch.cuda.use_mem_pool(pool):\n"
        "    a = torch.arange(1 << 20, device='cuda', dtype=torch.float32); b = (a * 2).sum()\n"
        "s = torch.cuda.Stream()\n"
        "with torch.cuda.stream(s), torch.cuda.use_mem_pool(pool):\n"
        "    c = torch.full((1 << 22,), 3.0, device='cuda'); d = c.sum()\n"
        "torch.cuda.synchronize()\n"
        "assert b.item() == (torch.arange(1 << 20, dtype=torch.float64) * 2).sum().item() or abs(b.item() / ((1 << 20) * ((1 << 20) - 1)) - 1) < 1e-5\n"
        "assert d.item() == 3.0 * (1 << 22)"
    )
    assert in_use(roomy) >= (1 << 22) + (1 << 24)
    with pytest.raises(WorkerError, match="out of memory"):
        worker("with torch.cuda.use_mem_pool(pool): e = torch.empty(1 << 30, device='cuda')")
    worker("del a, b, c, d, pool; gc.collect(); torch.cuda.empty_cache(); torch.cuda.synchronize()")
    eventually(lambda: in_use(roomy) == 0, "torch has given its memory back")


def test_cupy(real_gpu, roomy, client):
    pytest.importorskip("cupy")
    worker = client(roomy)
    worker(
        "import cupy, nvcv_cached.cupy\ncupy.cuda.set_allocator(nvcv_cached.cupy.malloc)\n"
        "import numpy as np\ntheirs = np.random.default_rng(3).random((512, 512), dtype=np.float32)\n"
        "a = cupy.asarray(theirs); b = a + 1\n"
        "assert np.array_equal(cupy.asnumpy(b), theirs + 1)\n"
        "with cupy.cuda.Stream(non_blocking=True) as s:\n"
        "    c = cupy.sort(a, axis=0); s.synchronize()\n"
        "assert np.array_equal(cupy.asnumpy(c), np.sort(theirs, axis=0))"
    )
    assert in_use(roomy) >= 3 << 20
    assert worker(
        "before = nvcv.stats()['misses']\n"
        "for n in range(50): d = a * n; del d\n"
        "result = [nvcv.stats()['misses'] - before, bool(np.array_equal(cupy.asnumpy(a * 49), theirs * 49))]"
    ) in ([0, True], [1, True])
    with pytest.raises(WorkerError, match="GiB"):
        worker("cupy.empty(1 << 32, dtype='u1')")
    worker("del a, b, c; gc.collect()")
    eventually(lambda: in_use(roomy) == 0, "CuPy has given its memory back")


def test_rmm(real_gpu, roomy, client):
    pytest.importorskip("rmm")
    worker = client(roomy)
    worker(
        "import rmm, nvcv_cached.rmm\nrmm.mr.set_current_device_resource(nvcv_cached.rmm.resource())\n"
        "a = rmm.DeviceBuffer.to_device(bytes(range(256)) * 4096)\n"
        "assert a.tobytes() == bytes(range(256)) * 4096"
    )
    assert in_use(roomy) >= 1 << 20
    worker("del a; gc.collect()")
    eventually(lambda: in_use(roomy) == 0, "RMM has given its memory back")
