"""Views: NumPy and DLPack consumers see the memory itself, and what they see keeps its block in use."""

import gc

import numpy as np
import nvcv_cached as nvcv
import pytest
from device_memory import HOST_ONLY, ON_GPU

pytestmark = pytest.mark.skipif(ON_GPU, reason=HOST_ONLY)

SHAPE = (5, 7, 3)


def address(array):
    return array.__array_interface__["data"][0]


def make():
    return nvcv.Tensor(SHAPE, np.float32, "HWC")


def flat(tensor):
    return tensor.__array_interface__["data"][0]


WAYS = {
    "asarray": np.asarray,
    "array_interface": lambda tensor: np.asarray(type("Holder", (), {
        "__array_interface__": tensor.__array_interface__, "kept": tensor})()),
    "memoryview": lambda tensor: np.asarray(memoryview(tensor)),
    "from_dlpack": np.from_dlpack,
    "cuda_asarray": lambda tensor: np.asarray(tensor.cuda()),
    "cuda_from_dlpack": lambda tensor: np.from_dlpack(tensor.cuda()),
    "unversioned": lambda tensor: np.from_dlpack(Unversioned(tensor)),
}  # fmt: skip


class Unversioned:
    """A producer of the first DLPack: no max_version, no copy."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, **_):
        return self.tensor.__dlpack__()

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


@pytest.mark.parametrize("way", WAYS)
def test_views_share_the_memory(way):
    tensor = make()
    view = WAYS[way](tensor)
    assert view.shape == SHAPE and view.dtype == np.float32
    assert view.strides == np.asarray(tensor).strides == (96, 12, 4)
    assert address(view) == flat(tensor)
    np.asarray(tensor)[...] = np.arange(105, dtype=np.float32).reshape(SHAPE)
    assert (view == np.arange(105).reshape(SHAPE)).all()
    if way == "unversioned":  # NumPy takes no chances with producers of the first DLPack
        return
    assert view.flags.writeable
    view[2, 3, 1] = -1
    assert np.asarray(tensor)[2, 3, 1] == -1


@pytest.mark.parametrize("way", [way for way in WAYS if way != "array_interface"])
def test_a_view_keeps_its_block_in_use(way):
    tensor = make()
    place = flat(tensor)
    view = WAYS[way](tensor)
    del tensor
    gc.collect()
    other = make()
    assert flat(other) != place, "the block of a live view was handed out again"
    slice_of_view = view[1:, ::2]
    del view
    assert flat(make()) != place
    del slice_of_view
    again = make()
    assert flat(again) == place, "last in, first out: the view's block was not given back"


def test_exporters_keep_the_tensor_in_use():
    for export in (lambda t: t.cuda(), lambda t: t.__dlpack__(), lambda t: t.__dlpack__(max_version=(1, 0))):
        tensor = make()
        place = flat(tensor)
        exported = export(tensor)
        del tensor
        assert flat(make()) != place
        del exported  # a capsule that nobody took gives back what it holds
        assert flat(make()) == place


def test_hits_are_views_on_the_same_memory():
    place = flat(make())
    before = nvcv.stats()["hits"]
    assert flat(make()) == place
    assert nvcv.stats()["hits"] == before + 1


@pytest.mark.parametrize(
    "name", [name for name in dir(nvcv.Type) if name.lstrip("_")[0] in "USFC234" and name[-1].isdigit()]
)
def test_every_type_in_every_view(name):
    dtype = getattr(nvcv.Type, name)
    tensor = nvcv.Tensor((5, 6), dtype, "HW")
    values = np.arange(5 * 6 * nvcv.Type(dtype).components).reshape((5, 6, *dtype.shape)).astype(dtype.base)
    np.asarray(tensor)[...] = values
    for way, make_view in WAYS.items():
        view = make_view(tensor)
        assert view.dtype == dtype.base and (view == values).all(), way
    assert tensor.cuda().dtype == dtype


@pytest.mark.parametrize("max_version", [None, (0, 8), (1, 0), (1, 3), (2, 0)])
def test_dlpack_versions(max_version):
    capsule = make().__dlpack__(max_version=max_version)
    versioned = max_version is not None and max_version[0] >= 1
    assert ("dltensor_versioned" if versioned else '"dltensor"') in repr(capsule)


def test_dlpack_arguments():
    tensor = make()
    assert tensor.__dlpack_device__() == tensor.cuda().__dlpack_device__() == (1, 0)
    tensor.__dlpack__(stream=None, dl_device=(1, 0), copy=False, max_version=(1, 0))
    tensor.__dlpack__(stream=1)
    with pytest.raises(BufferError):
        tensor.__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError):
        tensor.__dlpack__(1)


def test_dlpack_copies_when_asked():
    tensor = nvcv.Tensor((4, 5, 3), np.uint8, "HWC")
    np.asarray(tensor)[...] = np.arange(60).reshape(4, 5, 3)
    copied = np.from_dlpack(tensor, copy=True)
    assert address(copied) != flat(tensor)
    np.asarray(tensor)[...] = 0
    assert (copied == np.arange(60).reshape(4, 5, 3)).all()


def test_the_buffer_protocol_knows_padding():
    padded = nvcv.Tensor((5, 7, 3), np.uint8, "HWC")
    view = memoryview(padded)
    assert view.format == "B" and view.strides == (32, 3, 1) and not view.c_contiguous and view.nbytes == 105
    with pytest.raises(BufferError):
        bytes_view = np.frombuffer(padded, np.uint8)
        assert bytes_view is None
    dense = nvcv.Tensor((4, 32), np.uint8, "HW")
    assert np.frombuffer(dense, np.uint8).size == 128
    assert not memoryview(dense).readonly


def test_external_buffers_are_new_each_time_and_take_attributes():
    tensor = make()
    first = tensor.cuda()
    assert first is not tensor.cuda()
    first.note = "mine"
    assert first.note == "mine"


def test_strides_that_are_no_whole_number_of_elements():
    tensor = nvcv.Tensor((10, 10), nvcv.Type._3U8, "HW")
    with pytest.raises(ValueError, match="32 bytes"):
        assert tensor.cuda().strides
    assert np.asarray(tensor).strides == (32, 3, 1)
