"""Who comes first: our library, a framework, or nobody. All end up in the device's one primary context."""

import importlib.util

import pytest
from workers import HERE, WORD

# Of a process that has done nothing with CUDA yet.
UNTOUCHED = f"""
import ctypes, sys
sys.path.insert(0, {str(HERE)!r})
import nvcv_cached as nvcv
WORD = {WORD}

def ours():
    global t
    t = nvcv.Tensor((1 << 18,), "u4")
    assert t.__cuda_array_interface__["data"][0] != 0

def cupy():
    import cupy
    a = cupy.arange(1 << 18, dtype=cupy.uint32)
    assert int(a.sum()) == (1 << 17) * ((1 << 18) - 1)

def torch():
    import torch
    a = torch.arange(1 << 18, device="cuda")
    assert int(a.sum()) == (1 << 17) * ((1 << 18) - 1)

def cvcuda():
    import cvcuda, numpy
    cvcuda.Tensor((16, 16, 3), numpy.uint8, "HWC")

def check():
    # Each library reads what was written through another one, in our memory.
    import cupy, torch
    seen = torch.as_tensor(t.cuda(), device="cuda")
    cupy.asarray(t.cuda())[...] = WORD
    cupy.cuda.Device().synchronize()
    assert bool((seen == WORD).all()) and seen.data_ptr() == t.__cuda_array_interface__["data"][0]
"""


@pytest.mark.parametrize("order", ["ours cupy torch cvcuda", "cvcuda torch ours cupy"])
def test_libraries_in_any_order_share_one_context(order, real_gpu, roomy, client):
    for name in ("cupy", "torch"):
        pytest.importorskip(name)
    names = [name for name in order.split() if name == "ours" or importlib.util.find_spec(name)]
    worker = client(roomy, prelude=UNTOUCHED)
    for name in names:
        worker(f"{name}()")
    worker("check()")
    assert worker(
        "from cuda_calls import Driver\ndriver = Driver(); mine, primary = ctypes.c_void_p(), ctypes.c_void_p()\n"
        "driver.CtxGetCurrent(ctypes.byref(mine)); driver.DevicePrimaryCtxRetain(ctypes.byref(primary), 0)\n"
        "result = mine.value == primary.value"
    )
    assert worker.leave() == (0, "")


@pytest.mark.parametrize("first", ["ours", "the_driver"])
def test_a_thread_without_a_context_is_served(first, roomy, client):
    """And is left without one; what it got serves a thread that has one."""
    worker = client(roomy, prelude=UNTOUCHED)
    start = "from cuda_calls import Driver, LEGACY\ndriver = Driver(); now = ctypes.c_void_p()\n"
    worker(f"ours()\n{start}" if first == "ours" else f"{start}ours()")
    assert worker("driver.CtxGetCurrent(ctypes.byref(now)); result = now.value") is None
    assert (
        worker(
            "kept = driver.primary_context(); p = t.__cuda_array_interface__['data'][0]\n"
            "driver.fill(p, WORD, 1 << 20, LEGACY); driver.StreamSynchronize(LEGACY)\n"
            "result = driver.wrong_words(p, WORD, 1 << 20)"
        )
        == 0
    )
