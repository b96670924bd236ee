"""What cvcuda 0.19 does with formats, images as tensors, reshapes and exports, example by example."""

import ctypes

import numpy as np
import nvcv_cached as nvcv
import pytest
from device_memory import address, contents
from test_formats import FORMATS

Format = nvcv.Format

# Bytes of a pixel, plane by plane, of formats that differ from what their names say.
PIXELS = {
    "_2S16": [4], "_2F16": [4], "_2F32": [8], "_2C64": [16], "_2C128": [32], "C64": [8], "C128": [16],
    "NV12": [1, 2], "NV12_ER": [1, 2], "NV21": [1, 2], "NV21_ER": [1, 2], "NV24": [1, 2], "NV24_ER": [1, 2],
    "YUV8p": [1] * 3, "YUV8p_ER": [1] * 3, "RGBA8_3POS3D_U32": [3], "HSV8": [3], "CMYK8": [4], "YCCK8": [4],
    "RGBA8_UNASSOCIATED_ALPHA": [4], "RGB8_1U_U8": [3], "RGB8_7U_U8": [3], "RGB8_3D_F32": [3], "RGBA8_3U_U16": [4],
} | {name + suffix: [2] for name in ("UYVY", "VYUY", "YUYV") for suffix in ("", "_ER")}  # fmt: skip


def pixels_of(name):
    if name in PIXELS:
        return PIXELS[name]
    one = next(int(bits) for bits in ("16", "32", "64", "8") if bits in name) // 8
    channels = 4 if name.startswith(("RGBA", "BGRA")) else 3
    if not name.startswith(("RGB", "BGR", "LAB")):
        return [one]
    return [one] * channels if name.endswith("p") else [one * channels]


@pytest.mark.parametrize("name", [name for name, *_ in FORMATS if not name.endswith("_BL") and name != "NONE"])
def test_planes_of_every_format(name):
    image = nvcv.Image((7, 5), getattr(Format, name))
    exported = image.cuda()
    pixels = pixels_of(name)
    sizes = [(5, 7), (3, 4)] if name.startswith(("NV12", "NV21")) else [(5, 7)] * len(pixels)
    if not isinstance(exported, list) and len(pixels) > 1:  # planes of one size are one buffer
        assert exported.shape == (len(pixels), 5, 7) and exported.dtype.itemsize == pixels[0]
        return
    planes = exported if isinstance(exported, list) else [exported]
    assert [plane.shape[:2] for plane in planes] == sizes
    assert [plane.dtype.itemsize * int(np.prod(plane.shape[2:])) for plane in planes] == pixels
    assert [plane.nbytes // (plane.shape[0] * plane.shape[1]) for plane in listed(image.cpu())] == pixels


def listed(arrays):
    return arrays if isinstance(arrays, list) else [arrays]


@pytest.mark.parametrize("name", [name for name, *_ in FORMATS if name.endswith("_BL")])
def test_block_linear_formats_have_no_memory(name):
    with pytest.raises(RuntimeError, match="NVCV_ERROR_NOT_IMPLEMENTED"):
        nvcv.Image((7, 5), getattr(Format, name))


@pytest.mark.parametrize(
    ("name", "shape", "layout", "dtype"),
    [
        ("RGB8", (2, 4, 6, 3), "NHWC", "u1"), ("RGB8p", (2, 3, 4, 6), "NCHW", "u1"), ("U8", (2, 4, 6, 1), "NHWC", "u1"),
        ("RGBAf32p", (2, 4, 4, 6), "NCHW", "f4"), ("_2F32", (2, 4, 6, 2), "NHWC", "f4"),
        ("C64", (2, 4, 6, 1), "NHWC", "c8"), ("RGBf16", (2, 4, 6, 3), "NHWC", "f2"),
    ],
)  # fmt: skip
def test_tensors_of_images(name, shape, layout, dtype):
    tensor = nvcv.Tensor(nimages=2, imgsize=(6, 4), format=getattr(Format, name))
    assert (tensor.shape, tensor.layout, tensor.dtype) == (shape, layout, np.dtype(dtype))


@pytest.mark.parametrize(
    ("count", "size", "name", "says"),
    [
        (-1, (4, 4), "RGB8", "INVALID_ARGUMENT"), (1, (-4, 4), "RGB8", "INVALID_ARGUMENT"),
        (1, (4, 4), "NV24", "INVALID_ARGUMENT"), (1, (4, 4), "NONE", "INVALID_ARGUMENT"),
        *((1, (4, 4), name, "NOT_IMPLEMENTED") for name in ("NV12", "NV21", "YUYV", "UYVY", "VYUY", "U8_BL")),
    ],
)  # fmt: skip
def test_tensors_of_images_that_are_none(count, size, name, says):
    with pytest.raises(RuntimeError, match="NVCV_ERROR_" + says):
        nvcv.Tensor(count, size, getattr(Format, name))


def test_tensors_of_no_images_are_empty():
    for tensor in (nvcv.Tensor(0, (4, 4), Format.RGB8), nvcv.Tensor(2, (0, 4), Format.RGB8)):
        assert nvcv.internal.nbytes_in_cache(tensor) == 0 and 0 in tensor.shape
    assert nvcv.internal.nbytes_in_cache(nvcv.Image((0, 0), Format.RGB8)) == 0


@pytest.mark.parametrize("size", [[3, 4], (3, 4), np.array([3, 4])])
def test_sizes_are_two_integers_of_any_sequence(size):
    assert nvcv.Tensor(1, size, Format.U8).shape == (1, 4, 3, 1) and nvcv.Image(size, Format.U8).size == (3, 4)
    with pytest.raises(TypeError):
        nvcv.Tensor(1, (3.0, 4), Format.U8)


RESHAPED = [
    ((1, 10, 10, 3), "NHWC", (320, 32, 3, 1)), ((10, 10, 3, 1), "", (32, 3, 1, 1)), ((10, 1, 10, 3), "", (32, 32, 3, 1)),
    ((10, 2, 5, 3), "", (32, 15, 3, 1)), ((2, 5, 10, 3), "", (160, 32, 3, 1)), ((10, 30), "HW", (32, 1)),
    ((10, 10, 3), None, (32, 3, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "layout", "strides"), RESHAPED)
def test_reshapes(shape, layout, strides):
    tensor = nvcv.Tensor((10, 10, 3), np.uint8, "HWC")
    for reshaped in (tensor.reshape(shape, layout), nvcv.reshape(tensor=tensor, shape=shape, layout=layout)):
        assert (reshaped.shape, reshaped.cuda().strides) == (shape, strides)
        assert reshaped.layout == ("HWC" if layout is None else layout or None)
        assert reshaped.id != tensor.id and address(reshaped) == address(tensor)


@pytest.mark.parametrize(
    ("shape", "layout"), [((300,), ""), ((), ""), ((2, 2), ""), ((1, 10, 10, 3), None), ((1,) * 16, "")]
)
def test_reshapes_that_cannot_be(shape, layout):
    with pytest.raises(RuntimeError, match="NVCV_ERROR_INVALID_ARGUMENT"):
        nvcv.Tensor((10, 10, 3), np.uint8, "HWC").reshape(shape, layout)


@pytest.mark.parametrize(
    ("name", "exported"),
    [
        ("U8", [((4, 6), (32, 1))]), ("F16", [((4, 6), (16, 1))]), ("_2S16", [((4, 6, 2), (16, 2, 1))]),
        ("RGB8", [((4, 6, 3), (128, 3, 1))]), ("RGB8p", [((3, 4, 6), (128, 32, 1))]),
        ("RGBA8p", [((4, 4, 6), (128, 32, 1))]), ("YUYV", [((4, 6, 2), (32, 2, 1))]),
        ("NV12", [((4, 6, 1), (32, 1, 1)), ((2, 3, 2), (32, 2, 1))]),
        ("NV24", [((4, 6, 1), (32, 1, 1)), ((4, 6, 2), (32, 2, 1))]),
    ],
)  # fmt: skip
def test_exports_without_a_layout(name, exported):
    buffers = nvcv.Image((6, 4), getattr(Format, name)).cuda()
    assert isinstance(buffers, list) == (len(exported) > 1)
    assert [(buffer.shape, buffer.strides) for buffer in listed(buffers)] == exported


def test_images_of_a_single_row_export_packed_strides():
    assert nvcv.Image((37, 1), Format.RGB8).cuda().strides == (111, 3, 1)
    assert nvcv.Image((37, 1), Format.U8).cuda("NHWC").strides == (37, 37, 1, 1)
    image = nvcv.Image(np.arange(111, dtype=np.uint8).reshape(1, 37, 3))
    assert (contents(image.cuda()).ravel() == np.arange(111)).all() and nvcv.as_image(image.cuda()).size == (37, 1)


def test_images_as_tensors():
    single, planar = nvcv.Image((6, 4), Format.U8), nvcv.Image((6, 4), Format.RGB8p)
    assert (nvcv.as_tensor(single).shape, nvcv.as_tensor(single).layout) == ((1, 1, 4, 6), "NCHW")
    assert nvcv.as_tensor(image=planar).shape == (1, 3, 4, 6)
    with pytest.raises(TypeError):
        nvcv.as_tensor(single, "HW")


@pytest.mark.parametrize("source", [ctypes.c_void_p(0x10), 16, np.int32(16), nvcv.as_stream(16)])
def test_as_stream_takes_handles(source):
    assert nvcv.as_stream(source).handle == int(nvcv.as_stream(source)) == 16


def test_vectors_export_their_components():
    exported = nvcv.Tensor((2, 3), nvcv.Type._2F32, "HW").cuda()
    assert (exported.shape, exported.strides, exported.dtype) == ((2, 3), (4, 1), nvcv.Type._2F32)
    assert contents(exported).shape == (2, 3, 2)
