"""Tensor: what its constructor takes and refuses, and how its memory lies (NVCV 0.19's rules)."""

import copy
import pickle
import weakref

import numpy as np
import nvcv_cached as nvcv
import pytest

# shape, dtype, layout, rowalign -> element strides, bytes: as NVCV 0.19 lays them out.
LAID_OUT = [
    ((480, 640, 3), "u1", "HWC", 0, (1920, 3, 1), 921600),
    ((480, 640, 3), "u1", None, 0, (20480, 32, 1), 9830400),
    ((480, 640, 3), "u1", "CHW", 0, (20480, 32, 1), 9830400),
    ((16, 32), "u1", "HW", 0, (32, 1), 512),
    ((5, 16, 32, 4), "f4", "NHWC", 0, (2048, 128, 4, 1), 40960),
    ((7, 3, 33, 11), "c8", "NCHW", 0, (1188, 396, 12, 1), 66560),
    ((3, 5, 7), ("f4", (4,)), "NHW", 0, (40, 8, 1), 2048),
    ((3, 5, 7), ("f4", (3,)), "NHW", 0, (40, 8, 1), 1536),
    ((3, 6), "u1", "HW", 64, (64, 1), 512),
    ((10, 10, 3), "u1", "HWC", 0, (32, 3, 1), 512),
    ((2, 7, 37, 3), "u1", "NHWC", 1, (777, 111, 3, 1), 2048),
    ((10,), "u1", None, 0, (1,), 512),
    ((1000, 1000, 3), "f4", "HWC", 0, (3000, 3, 1), 12000256),
]


@pytest.mark.parametrize(("shape", "dtype", "layout", "rowalign", "strides", "size"), LAID_OUT)
def test_memory_lies_as_in_nvcv(shape, dtype, layout, rowalign, strides, size):
    tensor = nvcv.Tensor(shape, dtype, layout, rowalign)
    assert tensor.cuda().strides == strides
    assert nvcv.internal.nbytes_in_cache(tensor) == size
    assert nvcv.current_cache_size_inbytes() == size
    assert tensor.shape == tensor.cuda().shape == shape


def test_memory_reused_by_a_smaller_tensor_counts_as_it_was_granted():
    granted = nvcv.internal.nbytes_in_cache(nvcv.Tensor((1000, 1000), np.uint8))
    hits = nvcv.stats()["hits_size_class"]
    smaller = nvcv.Tensor((900, 1000), np.uint8)
    assert nvcv.stats()["hits_size_class"] == hits + 1
    assert nvcv.internal.nbytes_in_cache(smaller) == granted == nvcv.current_cache_size_inbytes()


def test_properties():
    tensor = nvcv.Tensor((3, 5), np.uint8, nvcv.TensorLayout.HW)
    assert tensor.shape == (3, 5) and isinstance(tensor.shape, tuple)
    assert tensor.ndim == 2
    assert tensor.dtype == np.uint8 and isinstance(tensor.dtype, np.dtype)
    assert tensor.layout == "HW" and isinstance(tensor.layout, nvcv.TensorLayout)
    assert repr(tensor) == "<nvcv.Tensor shape=(3, 5) dtype=uint8>"
    for name in ("shape", "ndim", "dtype", "layout"):
        with pytest.raises(AttributeError):
            setattr(tensor, name, None)
    with pytest.raises(AttributeError):
        tensor.extra = 1


def test_keywords_in_any_order():
    tensor = nvcv.Tensor(rowalign=64, layout="HW", dtype="float32", shape=(2, 3))
    assert (tensor.shape, tensor.dtype, str(tensor.layout)) == ((2, 3), np.float32, "HW")


@pytest.mark.parametrize("layout", [None, "", nvcv.TensorLayout.NONE])
def test_no_layout(layout):
    assert nvcv.Tensor((2, 3), np.uint8, layout).layout is None


@pytest.mark.parametrize("dtype", ["float32", np.float16, float, int, nvcv.Type.C64, nvcv.Type("u2")])
def test_dtypes(dtype):
    assert nvcv.Tensor((4,), dtype).dtype == nvcv.Type(dtype)


def test_extents_are_integers_of_any_kind():
    class Index:
        def __index__(self):
            return 4

    assert nvcv.Tensor((np.int64(2), np.uint8(3), Index(), True), "u1").shape == (2, 3, 4, 1)
    assert nvcv.Tensor((2,) * 15, "u1").ndim == 15


@pytest.mark.parametrize("extent", [0, 3])
def test_an_empty_tensor_has_no_bytes(extent):
    tensor = nvcv.Tensor((extent, 0, 5), np.float32)
    assert nvcv.internal.nbytes_in_cache(tensor) == 0
    assert np.asarray(tensor).shape == np.from_dlpack(tensor).shape == (extent, 0, 5)
    assert nvcv.current_cache_size_inbytes() == 0


TOO_MUCH = 1 << 62


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([2, 3], "u1"), TypeError, "incompatible function arguments"),
        ((5, "u1"), TypeError, "incompatible function arguments"),
        (((2, 3), "u1", 7), TypeError, "incompatible function arguments"),
        (((2, 3), "u1", "HW", 1.5), TypeError, "incompatible function arguments"),
        (((2, 3), "u1", "HW", 1 << 40), TypeError, "incompatible function arguments"),
        (((2, 3),), TypeError, "incompatible function arguments"),
        (((), "u1"), ValueError, "rank 0"),
        (((1,) * 16, "u1"), ValueError, "16"),
        (((2, 3.5), "u1"), ValueError, r"3\.5"),
        (((2, 1 << 70), "u1"), ValueError, "1180591620717411303424"),
        (((2, "3"), "u1"), ValueError, "'3'"),
        (((2, -3), "u1"), ValueError, "-3"),
        (((TOO_MUCH, 4), "u1"), ValueError, str(TOO_MUCH)),
        (((TOO_MUCH, 4), "f8", "HW"), ValueError, str(TOO_MUCH)),
        (((2, 3), "u1", "HWC"), ValueError, "HWC"),
        (((2, 3), "u1", "x" * 16), ValueError, "16"),
        (((2, 3), "u1", "HW", 48), ValueError, "48"),
        (((2, 3), "u1", "HW", -1), ValueError, "-1"),
    ],
)
def test_wrong_arguments(arguments, error, says):
    with pytest.raises(error, match=says) as caught:
        nvcv.Tensor(*arguments)
    if error is ValueError:  # with NVCV's status name, and a RuntimeError as there
        assert isinstance(caught.value, nvcv.InvalidArgument) and isinstance(caught.value, RuntimeError)
        assert str(caught.value).startswith("NVCV_ERROR_INVALID_ARGUMENT: ")
        assert caught.value.code == "INVALID_ARGUMENT" and caught.value.hint
    assert nvcv.cache_size() == 0


def test_more_memory_than_there_is():
    with pytest.raises(MemoryError, match="NVCV_ERROR_OUT_OF_MEMORY") as caught:
        nvcv.Tensor((1 << 40,), np.uint8)
    assert isinstance(caught.value, nvcv.OutOfMemory) and caught.value.code == "OUT_OF_MEMORY"
    assert "1.00 TiB" in str(caught.value) or "1.00TiB" in str(caught.value), str(caught.value)
    assert caught.value.hint and caught.value.hint in str(caught.value)


def test_identity_weakrefs_subclasses():
    class Frame(nvcv.Tensor):
        def __init__(self, number):
            super().__init__((2, 3), np.uint8)
            self.number = number

    frame, other = Frame(7), nvcv.Tensor((2, 3), np.uint8)
    assert frame.number == 7 and frame.shape == (2, 3) and isinstance(frame, nvcv.Tensor)
    assert frame != other and frame == frame and len({frame, other}) == 2
    reference = weakref.ref(other)
    assert reference() is other
    del other
    assert reference() is None


def test_no_copies():
    tensor = nvcv.Tensor((2, 3), np.uint8)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(tensor)
    with pytest.raises(TypeError):
        nvcv.ExternalBuffer()
