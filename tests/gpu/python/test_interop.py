"""CV-CUDA, torch, CuPy, RMM, Numba and JAX on our memory compute what they compute on their own, streams and padding
included."""

import pytest
from workers import WorkerError

pytestmark = pytest.mark.usefixtures("real_gpu")

ARRAYS = """
import numpy as np
shape = (37, 53, 3)
theirs = np.random.default_rng(7).random(shape, dtype=np.float32)
t = nvcv.Tensor(shape, np.float32)
"""


def has(name):
    pytest.importorskip(name)


def test_torch(roomy, client):
    has("torch")
    worker = client(roomy)
    assert worker(
        ARRAYS
        + "import torch\nexpected = torch.relu(torch.from_numpy(theirs).cuda() - 0.5) @ torch.ones(3, 4, device='cuda')\n"
        "for ours in (torch.from_dlpack(t), torch.as_tensor(t.cuda(), device='cuda')):\n"
        "    assert ours.data_ptr() == pointer(t) and ours.device.index == 0\n"
        "    ours.copy_(torch.from_numpy(theirs))\n"
        "    assert torch.equal(torch.relu(ours - 0.5) @ torch.ones(3, 4, device='cuda'), expected)\n"
        "with torch.cuda.stream(torch.cuda.Stream()), nvcv.as_stream(torch.cuda.current_stream()):\n"
        "    assert t.__cuda_array_interface__['stream'] == torch.cuda.current_stream().cuda_stream > 2\n"
        "result = True"
    )


def test_torch_on_a_stream_of_its_own(roomy, client):
    """The consumer's stream is named through DLPack: its slow kernel is over before the memory is used again."""
    has("torch")
    worker = client(roomy)
    assert worker(
        ARRAYS + "import torch\ns = torch.cuda.Stream()\nwrong = 0\n"
        "big = torch.rand(4096, 4096, device='cuda'); torch.cuda.synchronize()\n"
        "for i in range(20):\n"
        "    u = nvcv.Tensor((1 << 20,), np.float32)\n"
        "    with torch.cuda.stream(s):\n"
        "        a = torch.from_dlpack(u)\n        for _ in range(4): big @ big\n        a.fill_(-1.0)\n"
        "    del a, u\n"
        "    v = nvcv.Tensor((1 << 20,), np.float32)\n"
        "    b = torch.from_dlpack(v); b.fill_(float(i)); torch.cuda.synchronize()\n"
        "    wrong += int((b != i).sum())\n    del b, v\n"
        "result = wrong == 0"
    )


def test_cupy(roomy, client):
    has("cupy")
    worker = client(roomy)
    assert worker(
        ARRAYS + "import cupy\nexpected = cupy.asnumpy(cupy.sqrt(cupy.asarray(theirs)).sum(axis=1))\n"
        "for ours in (cupy.asarray(t), cupy.from_dlpack(t), cupy.asarray(t.cuda())):\n"
        "    assert ours.data.ptr == pointer(t)\n    ours[...] = cupy.asarray(theirs)\n"
        "    assert np.array_equal(cupy.asnumpy(cupy.sqrt(ours).sum(axis=1)), expected)\n"
        "    ours[...] = 0\n"
        "with cupy.cuda.Stream(non_blocking=True) as s:\n"
        "    ours = cupy.from_dlpack(t); ours[...] = cupy.asarray(theirs); s.synchronize()\n"
        "assert np.array_equal(cupy.asnumpy(cupy.asarray(t)), theirs)\n"
        "with nvcv.as_stream(cupy.cuda.Stream(non_blocking=True)) as _:\n"
        "    assert t.__cuda_array_interface__['stream'] == nvcv.Stream.current.handle > 2\n"
        "result = True"
    )


def test_numba(roomy, client):
    has("numba")
    worker = client(roomy)
    # numba-cuda 0.30 asks for a name that NumPy 2.5 no longer has.
    worker("import numpy\nif not hasattr(numpy, 'row_stack'): numpy.row_stack = numpy.vstack")
    try:
        worker("from numba import cuda\ncuda.jit(lambda a: None)")
    except WorkerError as error:
        pytest.skip(f"Numba does not work here: {error}")
    assert worker(
        ARRAYS + "import cupy\n@cuda.jit\ndef double(a):\n    i, j, k = cuda.grid(3)\n"
        "    if i < a.shape[0] and j < a.shape[1] and k < a.shape[2]: a[i, j, k] *= 2\n"
        "ours, own = cuda.as_cuda_array(t), cuda.to_device(theirs)\n"
        "assert ours.device_ctypes_pointer.value == pointer(t)\n"
        "cupy.asarray(t)[...] = cupy.asarray(theirs)\ncupy.cuda.Device().synchronize()\n"
        "for a in (ours, own): double[(10, 14, 1), (4, 4, 3)](a)\n"
        "cuda.synchronize()\n"
        "result = bool(np.array_equal(cupy.asnumpy(cupy.asarray(t)), own.copy_to_host()))"
    )


CVCUDA = """
import numpy as np, cupy, cvcuda
shape = (61, 45, 3)
pixels = cupy.asarray(np.random.default_rng(11).integers(0, 256, shape, dtype=np.uint8))
OPERATORS = {
    "resize": lambda x: cvcuda.resize(x, (97, 33, 3), cvcuda.Interp.LINEAR),
    "gaussian": lambda x: cvcuda.gaussian(x, (5, 5), (1.2, 1.2)),
    "median": lambda x: cvcuda.median_blur(x, (3, 3)),
    "flip": lambda x: cvcuda.flip(x, 1),
    "rotate": lambda x: cvcuda.rotate(x, 30.0, (5.0, 7.0), cvcuda.Interp.LINEAR),
    "cvtcolor": lambda x: cvcuda.cvtcolor(x, cvcuda.ColorConversion.BGR2HSV),
    "convertto": lambda x: cvcuda.convertto(x, np.float32, 1 / 255, 0.5),
}
def values(x): return cupy.asnumpy(cupy.asarray(x.cuda()))
def filled(tensor):
    cupy.asarray(tensor.cuda())[...] = pixels
    return tensor
own = filled(cvcuda.Tensor(shape, np.uint8, "HWC"))
"""


@pytest.mark.parametrize("name", ["resize", "gaussian", "median", "flip", "rotate", "cvtcolor", "convertto"])
def test_cvcuda_operators(name, roomy, client):
    """What an operator reads in our memory gives the same bits as in CV-CUDA's own, and so does what it writes there."""
    has("cvcuda")
    worker = client(roomy)
    assert worker(
        CVCUDA + f"operator = OPERATORS[{name!r}]\nexpected = values(operator(own))\n"
        "ours = filled(nvcv.Tensor(shape, np.uint8, 'HWC'))\n"
        "wrapped = cvcuda.as_tensor(ours.cuda(), 'HWC')\n"
        "assert wrapped.cuda().__cuda_array_interface__['data'][0] == pointer(ours)\n"
        "assert np.array_equal(values(operator(wrapped)), expected)\n"
        "result = bool(expected.any())"
    )


def test_cvcuda_writes_into_our_memory(roomy, client):
    has("cvcuda")
    worker = client(roomy)
    assert worker(
        CVCUDA + "expected = values(OPERATORS['resize'](own))\n"
        "target = nvcv.Tensor((97, 33, 3), np.uint8, 'HWC')\n"
        "cvcuda.resize_into(cvcuda.as_tensor(target.cuda(), 'HWC'), own, cvcuda.Interp.LINEAR)\n"
        "result = bool(np.array_equal(values(target), expected))"
    )


def test_cvcuda_on_a_stream_of_its_own(roomy, client):
    """An operator's stream, named by record_stream: the memory serves the next object after the operator."""
    has("cvcuda")
    worker = client(roomy)
    assert worker(
        CVCUDA + "big = (2048, 2048, 3)\nstream = cvcuda.Stream()\nsource = cvcuda.Tensor(big, np.uint8, 'HWC')\n"
        "cupy.asarray(source.cuda())[...] = 9\ncupy.cuda.Device().synchronize()\nwrong = 0\n"
        "for i in range(20):\n"
        "    t = nvcv.Tensor(big, np.uint8, 'HWC')\n    t.record_stream(stream.handle)\n"
        "    with stream:\n        for _ in range(4): cvcuda.gaussian_into(cvcuda.as_tensor(t.cuda(), 'HWC'), source, (5, 5), (1.0, 1.0))\n"
        "    del t\n"
        "    u = nvcv.Tensor(big, np.uint8, 'HWC')\n    a = cupy.asarray(u.cuda())\n    a[...] = i\n"
        "    wrong += int((a != i).sum())\n    del a, u\n"
        "result = wrong == 0"
    )


def test_rmm(roomy, client):
    """RMM's pool as CuPy's allocator beside our memory, and copies between the two."""
    has("rmm")
    has("cupy")
    worker = client(roomy)
    assert worker(
        ARRAYS + "import cupy, rmm\nfrom rmm.allocators.cupy import rmm_cupy_allocator\n"
        "pool = rmm.mr.PoolMemoryResource(rmm.mr.CudaMemoryResource(), initial_pool_size=64 << 20)\n"
        "rmm.mr.set_current_device_resource(pool)\ncupy.cuda.set_allocator(rmm_cupy_allocator)\n"
        "own, ours = cupy.asarray(theirs), cupy.asarray(t)\nours[...] = own\n"
        "assert np.array_equal(cupy.asnumpy(cupy.sqrt(ours).sum(axis=1)), cupy.asnumpy(cupy.sqrt(own).sum(axis=1)))\n"
        "flat = nvcv.Tensor((4096,), np.uint8)\ncupy.asarray(flat)[...] = cupy.arange(4096, dtype=np.uint8)\n"
        "theirs = rmm.DeviceBuffer(size=4096)\ntheirs.copy_from_device(flat)\n"
        "assert theirs.copy_to_host().tolist() == [i % 256 for i in range(4096)]\n"
        "back = nvcv.Tensor((4096,), np.uint8)\ncupy.asarray(back)[...] = cupy.asarray(theirs)\n"
        "result = bool((cupy.asarray(back) == cupy.asarray(flat)).all())"
    )


def test_jax(roomy, client):
    has("jax")
    worker = client(roomy, environment={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"})
    try:
        worker("import jax\nassert jax.devices()[0].platform == 'gpu'")
    except WorkerError as error:
        pytest.skip(f"JAX sees no GPU here: {error}")
    assert worker(
        ARRAYS + "import jax.numpy as jnp, cupy\n"
        "u = nvcv.Tensor((64, 128), np.float32)\nvalues = np.arange(64 * 128, dtype=np.float32).reshape(64, 128)\n"
        # JAX leaves the last GPU current, and cupy.asarray copies what is of another one than that.
        "with cupy.cuda.Device(u.__dlpack_device__()[1]) as at:\n"
        "    cupy.asarray(u)[...] = cupy.asarray(values)\n    at.synchronize()\n"
        "ours = jnp.from_dlpack(u)\nsame = jnp.array_equal(jnp.tanh(ours) + 1, jnp.tanh(jnp.asarray(values)) + 1)\n"
        "result = bool(same)"
    )


def test_what_a_view_holds_stays_in_use(roomy, client):
    has("cupy")
    worker = client(roomy)
    assert worker(
        "import cupy\nt = tensor(1 << 20); a = cupy.asarray(t); p = pointer(t); del t; gc.collect()\n"
        "u = tensor(1 << 20)\nassert pointer(u) != p\ndel a; gc.collect()\nt = tensor(1 << 20)\n"
        "result = pointer(t) == p"
    )


def test_the_host_has_no_part_in_it(roomy, client):
    worker = client(roomy)
    assert worker(
        "t = tensor(64)\nassert t.__dlpack_device__() == (2, 0)\nassert not hasattr(t, '__array_interface__')\n"
        "try: memoryview(t)\nexcept BufferError: pass\nelse: raise AssertionError\n"
        "for stream in (0, -2):\n"
        "    try: t.__dlpack__(stream=stream)\n    except nvcv.InvalidArgument: pass\n    else: raise AssertionError\n"
        "for stream in (None, 1, 2, -1): t.__dlpack__(stream=stream, max_version=(1, 0))\n"
        "result = nvcv.device().kind == 'cuda' and nvcv.device().id.startswith('GPU-')"
    )
