"""Image: constructors, inference of formats, properties and exports, as NVCV has them; BUG-20 and BUG-26 mended."""

import copy
import gc
import pickle

import numpy as np
import nvcv_cached as nvcv
import pytest
from device_memory import ON_GPU, contents, fill, there

Format = nvcv.Format


@pytest.mark.parametrize(
    ("size", "fmt", "rowalign", "nbytes"),
    [
        ((1, 1), "F32", 0, 512), ((640, 480), "U8", 0, 307200), ((37, 11), "U8", 1, 512), ((7, 5), "NV12", 0, 1024),
        ((258, 232), "NV12", 0, 100864), ((100, 100), "RGB8p", 0, 38400), ((101, 100), "RGB8", 0, 38400),
    ],
)  # fmt: skip
def test_memory_lies_as_in_nvcv(size, fmt, rowalign, nbytes):
    image = nvcv.Image(size, getattr(Format, fmt), rowalign)
    assert nvcv.internal.nbytes_in_cache(image) == nvcv.current_cache_size_inbytes() == nbytes


def test_properties():
    image = nvcv.Image(rowalign=0, format=Format.NV12, size=[7, 5])
    assert (image.size, image.width, image.height, image.format) == ((7, 5), 7, 5, Format.NV12)
    assert repr(image) == "<nvcv.Image 7x5 NVCV_IMAGE_FORMAT_NV12>"
    assert nvcv.Image(np.array([7, 5]), Format.U8).size == (7, 5)
    assert isinstance(image, nvcv.Container) and isinstance(image, nvcv.Resource) and isinstance(image.id, int)
    for name in ("size", "width", "height", "format", "id", "extra"):
        with pytest.raises(AttributeError):
            setattr(image, name, 1)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(image)
    image.submitStreamSync(stream=nvcv.Stream())
    with pytest.raises(TypeError):
        image.submitStreamSync(0)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (((-1, 5), Format.U8), ValueError, "-1x5"),
        (((7, 5), Format.NONE), ValueError, "NONE"),
        (((7, 5), Format.U8, 48), ValueError, "48"),
        (((7, 5), Format.NV12_BL), NotImplementedError, "NVCV_ERROR_NOT_IMPLEMENTED.*block linear"),
        (((7.0, 5), Format.U8), TypeError, "incompatible"),
        (((7, 5), 171798626433), TypeError, "incompatible"),
        (((7, 5, 3), Format.U8), TypeError, "incompatible"),
        ((7, Format.U8), TypeError, "incompatible"),
        ((None, Format.U8), TypeError, "incompatible"),
    ],
)
def test_wrong_arguments(arguments, error, says):
    with pytest.raises(error, match=says):
        nvcv.Image(*arguments)
    assert nvcv.cache_size() == 0


def test_zeros_on_used_memory():
    fill(nvcv.Image((8, 4), Format.RGB8).cuda(), 7)
    assert (nvcv.Image.zeros((8, 4), Format.RGB8).cpu() == 0).all()
    fill(nvcv.Tensor((8, 4), np.uint8, "HW"), 7)
    assert (contents(nvcv.Tensor.zeros((8, 4), np.uint8, "HW")) == 0).all()


INFERRED = [
    ((4, 6), "u1", "U8"), ((4, 6), "i1", "S8"), ((4, 6), "u2", "U16"), ((4, 6), "i2", "S16"), ((4, 6), "u4", "U32"),
    ((4, 6), "i4", "S32"), ((4, 6), "f2", "F16"), ((4, 6), "f4", "F32"), ((4, 6), "f8", "F64"), ((4, 6), "c8", "C64"),
    ((4, 6), "c16", "C128"), ((4, 6, 1), "u1", "U8"), ((4, 6, 2), "i2", "_2S16"), ((4, 6, 2), "f4", "_2F32"),
    ((4, 6, 2), "f2", "_2F16"), ((4, 6, 2), "c8", "_2C64"), ((4, 6, 2), "c16", "_2C128"), ((4, 6, 3), "u1", "RGB8"),
    ((4, 6, 3), "f2", "RGBf16"), ((4, 6, 3), "f4", "RGBf32"), ((4, 6, 4), "u1", "RGBA8"), ((4, 6, 4), "f4", "RGBAf32"),
    ((3, 5, 6), "u1", "RGB8p"), ((4, 5, 6), "f4", "RGBAf32p"), ((1, 5, 6), "u1", "U8"), ((1, 4, 6, 3), "u1", "RGB8"),
    ((1, 3, 5, 6), "f2", "RGBf16p"),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "dtype", "name"), INFERRED)
def test_formats_are_inferred(shape, dtype, name):
    array = (np.arange(np.prod(shape)) % 120).reshape(shape).astype(dtype)
    for image in (nvcv.Image(array), nvcv.as_image(there(array))):
        assert image.format == getattr(Format, name)
        assert (image.cpu().ravel() == array.ravel()).all()


def test_a_format_that_is_given_must_fit():
    array = np.zeros((4, 6, 3), np.uint8)
    assert nvcv.Image(array, Format.BGR8).format == Format.BGR8
    assert nvcv.as_image(there(array), Format.HSV8).format == Format.HSV8
    assert nvcv.Image([np.zeros((4, 6), np.uint8), np.zeros((2, 3, 2), np.uint8)]).format == Format.NV12_ER
    planes = [np.full((4, 6, 1), 3, np.uint8), np.full((2, 3, 2), 5, np.uint8)]
    nv12 = nvcv.Image(planes, Format.NV12)
    assert nv12.format == Format.NV12 and [plane.max() for plane in nv12.cpu()] == [3, 5]
    assert [plane.shape for plane in nv12.cuda()] == [(4, 6, 1), (2, 3, 2)]
    for wrong in (Format.RGBA8, Format.RGB8p, Format.RGBf32, Format.NV12, Format.YUYV, Format.U8):
        with pytest.raises(ValueError, match=r"format|channels|pixels|padded|planes"):
            nvcv.Image(array, wrong)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((8, 7, 9), np.uint8), "4 planes"),
        (np.zeros((2, 3, 4, 5), np.uint8), "4 planes"),
        (np.zeros(5, np.uint8), "1 dimension"),
        (np.zeros((1, 1, 1, 1, 1), np.uint8), "5 dimension"),
        (np.zeros((4, 6), np.int64), "no format"),
        (np.zeros((4, 6), bool), "no place"),
        (np.zeros((4, 6), ">f4"), "no place"),
        (np.zeros((4, 6, 3), np.uint8)[:, ::2], "contiguous"),
        (np.zeros((4, 6, 3), np.uint8)[::-1], "positive"),
        (np.zeros((4, 6), np.uint8).T, "contiguous"),
        (np.zeros((0, 6), np.uint8), "no pixels|next to each other"),
        ([], "no arrays"),
        ([np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.float32)], "kind"),
    ],
)
def test_arrays_that_are_no_image(array, says):
    for make in (nvcv.Image, nvcv.as_image):
        with pytest.raises(ValueError, match=says):
            make(there(array) if make is nvcv.as_image else array)


def test_padded_rows_of_channel_last_data():
    padded = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)[:, :5]
    assert (nvcv.Image(padded).cpu() == padded).all()
    wrapped = nvcv.as_image(there(padded))
    assert contents(wrapped.cuda()).strides == padded.strides
    assert (wrapped.cpu() == padded).all()


def test_wrapped_images_share_the_memory_and_keep_it():
    class Owner(np.ndarray):
        pass

    array = np.zeros((4, 6, 3), np.uint8).view(Owner)
    image = nvcv.as_image(there(array))
    fill(image.cuda(), 9, (1, 2, 0))
    assert ON_GPU or array[1, 2, 0] == 9
    assert (nvcv.cache_size(), nvcv.current_cache_size_inbytes(), nvcv.internal.nbytes_in_cache(image)) == (1, 0, 0)
    exported = image.cuda()
    del image, array
    gc.collect()
    assert contents(exported)[1, 2, 0] == 9
    del exported
    gc.collect()
    assert nvcv.cache_size() == 0


def test_exports_follow_the_layout():
    image = nvcv.Image((6, 4), Format.RGB8)
    assert image.cuda("NHWC").shape == (1, 4, 6, 3) and image.cpu("NHWC").shape == (1, 4, 6, 3)
    assert image.cuda() is not image.cuda()
    assert nvcv.Image((6, 4), Format.U8).cuda("CHW").shape == (1, 4, 6)
    for wrong in ("CHW", "HW", "ABC"):
        with pytest.raises(RuntimeError, match=wrong):
            image.cuda(wrong)


def test_as_tensor_of_an_image_keeps_it_in_use():
    image = nvcv.Image((6, 4), Format.RGB8)
    tensor = nvcv.as_tensor(image=image)
    assert (tensor.shape, str(tensor.layout)) == ((1, 4, 6, 3), "NHWC")
    assert str(nvcv.as_tensor(nvcv.Image((6, 4), Format.RGBf32p)).layout) == "NCHW"
    fill(image.cuda(), 5)
    del image
    fill(nvcv.Image((6, 4), Format.RGB8).cuda(), 9)
    assert (contents(tensor) == 5).all()
    with pytest.raises(NotImplementedError, match="sub-sampled"):
        nvcv.as_tensor(nvcv.Image((6, 4), Format.NV12))


def test_a_reused_image_keeps_its_id():
    first = nvcv.Image((6, 4), Format.U8).id
    assert nvcv.Image((6, 4), Format.U8).id == first != nvcv.Image((6, 4), Format.S8).id
