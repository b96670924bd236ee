"""ImageBatchVarShape, TensorBatch, Stream and ExternalCacheItem: NVCV's lists, errors and reuse."""

import gc
import weakref

import numpy as np
import nvcv_cached as nvcv
import pytest
from device_memory import there

U8 = nvcv.Format.U8


def test_an_image_batch_yields_the_very_objects():
    batch = nvcv.ImageBatchVarShape(capacity=3)
    assert (batch.capacity, len(batch), list(batch), batch.maxsize, batch.uniqueformat) == (3, 0, [], (0, 0), None)
    wide, high = nvcv.Image((9, 2), U8), nvcv.Image((2, 9), U8)
    batch.pushback(wide)
    batch.pushback([high, wide])
    assert [image is pushed for image, pushed in zip(batch, [wide, high, wide], strict=True)] == [True] * 3
    assert batch.maxsize == (9, 9) and batch.uniqueformat == U8
    batch.popback()
    batch.pushback(nvcv.Image((1, 1), nvcv.Format.S8))
    assert batch.uniqueformat is None
    batch.popback(2)
    assert list(batch) == [wide]
    batch.clear()
    assert len(batch) == 0


def test_what_an_image_batch_refuses_changes_nothing():
    batch, image = nvcv.ImageBatchVarShape(2), nvcv.Image((9, 2), U8)
    batch.pushback(image)
    refused = [
        (lambda: batch.pushback([image, image]), "OVERFLOW"),
        (lambda: batch.popback(2), "UNDERFLOW"),
        (lambda: batch.popback(-1), "INVALID_ARGUMENT"),
        (lambda: batch.pushback([None]), "INVALID_ARGUMENT"),
        (lambda: nvcv.ImageBatchVarShape(-1), "INVALID_ARGUMENT"),
        (lambda: nvcv.ImageBatchVarShape(0).pushback(image), "OVERFLOW"),
        (lambda: nvcv.as_images([]), "INVALID_ARGUMENT"),
        (lambda: nvcv.as_images([[1, 2]]), "interfaces"),
    ]
    for call, says in refused:
        with pytest.raises(RuntimeError, match=says):
            call()
    for call in (lambda: batch.pushback(None), lambda: batch[0], lambda: nvcv.ImageBatchVarShape("2")):
        with pytest.raises(TypeError):
            call()
    assert list(batch) == [image]


def test_a_tensor_batch_is_a_list_of_one_kind():
    batch = nvcv.TensorBatch(4)
    assert (batch.ndim, batch.dtype, batch.layout, len(batch)) == (-1, None, None, 0)
    first, second = (nvcv.Tensor(shape, np.uint8, "HW") for shape in ((2, 3), (9, 8)))
    batch.pushback([first, second])
    assert (batch.ndim, batch.dtype, str(batch.layout)) == (2, np.uint8, "HW")
    assert batch[0] is first and batch[1] is second
    batch[0] = second
    assert list(batch) == [second, second]
    for wrong in (-1, 2):
        with pytest.raises(RuntimeError, match="has only 2"):
            batch[wrong]
        with pytest.raises(RuntimeError, match="has only 2"):
            batch[wrong] = first
    for wrong in (slice(0, 1), "0", 0.0):
        with pytest.raises(TypeError):
            batch[wrong]
    for other, says in (
        (nvcv.Tensor((2,), np.uint8), "inconsistent rank"),
        (nvcv.Tensor((2, 3), np.int8, "HW"), "inconsistent type"),
        (nvcv.Tensor((2, 3), np.uint8, "NW"), "inconsistent layout"),
    ):
        with pytest.raises(RuntimeError, match=says):
            batch.pushback(other)
    with pytest.raises(RuntimeError, match=r"Adding 3 tensors to a tensor batch would exceed its capacity \(4\) by 1"):
        batch.pushback([first] * 3)
    with pytest.raises(RuntimeError, match=r"Trying to pop 3 tensors from a tensor batch with 2 tensors\."):
        batch.popback(3)
    batch.popback()
    with pytest.raises(RuntimeError, match="inconsistent type"):
        batch[0] = nvcv.Tensor((2, 3), np.int8, "HW")  # the only one, and yet the batch has a kind
    batch.clear()
    batch.pushback(nvcv.Tensor((2,), np.int8))
    assert batch.ndim == 1


def test_batches_of_arrays():
    arrays = [np.zeros((height, 5, 3), np.uint8) for height in (2, 3)]
    images, tensors = nvcv.as_images(there(arrays)), nvcv.as_tensors(there(arrays), layout="HWC")
    assert (images.capacity, len(images), images.maxsize) == (2, 2, (5, 3))
    assert (tensors.capacity, len(tensors), str(tensors.layout)) == (2, 2, "HWC")
    assert nvcv.cache_size() == 6 and nvcv.current_cache_size_inbytes() == 320 + 512
    for wrong in ([], [[1, 2]], [nvcv.Tensor((2,), "u1")], there([np.zeros((2, 2)), np.zeros(2)])):
        with pytest.raises(RuntimeError):
            nvcv.as_tensors(wrong)


@pytest.mark.parametrize(("kind", "entry"), [(nvcv.ImageBatchVarShape, 160), (nvcv.TensorBatch, 256)])
def test_a_batch_counts_its_table_and_an_idle_one_keeps_nothing(kind, entry):
    batch = kind(10)
    assert nvcv.internal.nbytes_in_cache(batch) == nvcv.current_cache_size_inbytes() == 10 * entry
    member = nvcv.Image((4, 4), U8) if kind is nvcv.ImageBatchVarShape else nvcv.Tensor((4, 4), "u1")
    alive, number = weakref.ref(member), batch.id
    batch.pushback(member)
    del member
    assert alive() is not None
    del batch
    assert alive() is None
    assert kind(10).id == number and len(kind(10)) == 0


def test_a_circle_through_a_batch_is_collected():
    class Holder(nvcv.Image):
        pass

    holder = Holder((4, 4), U8)
    holder.batch = nvcv.ImageBatchVarShape(1)
    holder.batch.pushback(holder)
    alive = weakref.ref(holder)
    del holder
    gc.collect()
    assert alive() is None


def test_streams_are_reused_and_count_as_items_without_bytes():
    stream = nvcv.Stream()
    assert (nvcv.cache_size(), nvcv.internal.nbytes_in_cache(stream)) == (1, 0)
    number = stream.id
    del stream
    assert nvcv.cache_size() == 1
    first, second = nvcv.Stream(), nvcv.Stream()
    assert first.id == number != second.id and nvcv.cache_size() == 2
    assert nvcv.Stream.default.id == 0
    nvcv.as_stream(2)
    assert nvcv.cache_size() == 2
    with pytest.raises(TypeError):
        nvcv.internal.nbytes_in_cache(3)
    nvcv.internal.syncAuxStream()
    nvcv.internal.drain_pending_releases()


def test_external_items_are_found_by_their_key():
    made = []

    def make():
        made.append(object())
        return made[-1]

    item = nvcv.ExternalCacheItem(("plan", 3), make)
    assert item.payload is made[0] and item.key == ("plan", 3) and not item.was_reused
    beside = nvcv.ExternalCacheItem(("plan", 3), make)
    assert beside.payload is made[1] and nvcv.cache_size() == 2
    del item
    again = nvcv.ExternalCacheItem(("plan", 3), make)
    assert again.payload is made[0] and again.was_reused
    nvcv.clear_cache()
    del again
    assert nvcv.cache_size() == 0 and not nvcv.ExternalCacheItem(("plan", 3), make).was_reused
    with pytest.raises(ZeroDivisionError):
        nvcv.ExternalCacheItem("broken", lambda: 1 // 0)
    for wrong in (([], make), ("key", 3)):
        with pytest.raises(TypeError):
            nvcv.ExternalCacheItem(*wrong)
