"""DLPack's copy=True: the contents in memory of their own, on the host and on a GPU."""

import gc

import numpy as np
import nvcv_cached as nvcv
import pytest
from device_memory import address, contents, fill, there


class Copied:
    """A producer that always copies."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, **keywords):
        return self.tensor.__dlpack__(copy=True, **keywords)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


SHAPES = [((60,), None), ((7, 5), "HW"), ((4, 5, 3), "HWC"), ((2, 3, 7, 5), "NCHW"), ((2, 4, 5, 3), "NHWC")]


@pytest.mark.parametrize(("shape", "layout"), SHAPES)
@pytest.mark.parametrize("dtype", ["u1", "f4", "c16"])
def test_a_copy_has_the_contents_and_memory_of_its_own(shape, layout, dtype):
    tensor = nvcv.Tensor(shape, dtype, layout)
    values = (np.arange(np.prod(shape)) % 120).reshape(shape).astype(dtype)
    fill(tensor, values)
    copied = nvcv.as_tensor(Copied(tensor), layout)
    assert address(copied) != address(tensor)
    fill(tensor, np.zeros(shape, dtype))
    assert (contents(copied) == values).all()


def test_a_copy_of_what_wraps_strided_memory():
    values = np.arange(3 * 16 * 3, dtype=np.uint8).reshape(3, 16, 3)[:, :7]
    tensor = nvcv.as_tensor(there(values), "HWC")
    assert (contents(nvcv.as_tensor(Copied(tensor), "HWC")) == values).all()


def test_a_copy_is_an_item_of_the_cache_and_ends_with_its_consumer():
    tensor = nvcv.Tensor((4, 8), "u1", "HW")
    producer = Copied(tensor)
    copied = nvcv.as_tensor(producer, "HW")
    assert nvcv.cache_size() >= 2
    del producer
    before = nvcv.stats()["hits"]
    del copied
    gc.collect()
    assert nvcv.Tensor((4, 8), "u1", "HW").shape == (4, 8)
    assert nvcv.stats()["hits"] == before + 1


def test_an_empty_tensor_is_copied_too():
    assert nvcv.Tensor((0, 5), "u1").__dlpack__(copy=True) is not None
