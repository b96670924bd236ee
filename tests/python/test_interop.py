"""Memory in both directions: NumPy, Pillow, scikit-image, torch and OpenCV where they are installed, and what is refused."""

import gc
import weakref

import numpy as np
import nvcv_cached as nvcv
import pytest
from device_memory import HOST_ONLY, ON_GPU

pytestmark = pytest.mark.skipif(ON_GPU, reason=HOST_ONLY)

PHOTO = (np.arange(20 * 30 * 3) % 251).astype(np.uint8).reshape(20, 30, 3)


def address(array):
    return np.asarray(array).__array_interface__["data"][0]


def test_numpy_both_ways():
    array = PHOTO.copy()
    tensor = nvcv.as_tensor(array, "HWC")
    assert (tensor.shape, tensor.dtype, str(tensor.layout)) == (array.shape, np.uint8, "HWC")
    assert address(tensor) == array.ctypes.data == address(np.from_dlpack(tensor))
    np.asarray(tensor)[3, 4] = 0
    assert (array[3, 4] == 0).all()


def test_pillow_both_ways():
    pil = pytest.importorskip("PIL.Image")
    picture = pil.fromarray(PHOTO)
    image = nvcv.Image(picture)
    assert image.format == nvcv.Format.RGB8 and (image.cpu() == PHOTO).all()
    assert pil.fromarray(image.cpu()).tobytes() == picture.tobytes()
    assert nvcv.Image(picture.convert("L")).format == nvcv.Format.U8


def test_scikit_image_both_ways():
    transform = pytest.importorskip("skimage.transform")
    image = nvcv.Image(PHOTO)
    half = transform.resize(np.asarray(image.cuda()), (10, 15), preserve_range=True).astype(np.float32)
    assert nvcv.as_image(half).format == nvcv.Format.RGBf32


def test_opencv_both_ways():
    cv2 = pytest.importorskip("cv2")
    image = nvcv.Image(PHOTO)
    target = nvcv.Image((30, 20), nvcv.Format.U8)
    grey = cv2.cvtColor(np.asarray(image.cuda()), cv2.COLOR_RGB2GRAY)
    np.asarray(target.cuda())[...] = grey
    assert (target.cpu() == grey).all() and nvcv.as_image(grey).format == nvcv.Format.U8


def test_torch_both_ways():
    torch = pytest.importorskip("torch", exc_type=ImportError)
    source = torch.arange(60, dtype=torch.uint8).reshape(4, 5, 3)
    tensor = nvcv.as_tensor(source, "HWC")
    assert torch.from_dlpack(tensor).data_ptr() == source.data_ptr() == address(tensor)
    assert nvcv.as_image(source).format == nvcv.Format.RGB8


class Producer:
    """Of DLPack alone, of the first version or of the one with flags."""

    def __init__(self, array, versioned):
        self.array, self.versioned = array, versioned

    def __dlpack__(self, *, stream=None, **keywords):
        if not self.versioned and keywords:
            raise TypeError("the first DLPack has no max_version")
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return (1, 0)


@pytest.mark.parametrize("versioned", [False, True])
def test_dlpack_of_both_versions(versioned):
    array = PHOTO.copy()
    tensor = nvcv.as_tensor(Producer(array, versioned), "HWC")
    assert address(tensor) == array.ctypes.data


class Interface:
    def __init__(self, **interface):
        self.__array_interface__ = interface


def test_array_interface_alone():
    array = PHOTO.copy()
    wrapped = nvcv.as_tensor(Interface(**array.__array_interface__), "HWC")
    assert address(wrapped) == array.ctypes.data
    vectors = nvcv.as_tensor(nvcv.Tensor((4, 8), nvcv.Type._4U8, "HW").cuda(), "HW")
    assert vectors.dtype == nvcv.Type._4U8


def test_memory_lives_as_long_as_any_view():
    class Owner(np.ndarray):
        pass

    array = PHOTO.copy().view(Owner)
    alive = weakref.ref(array)
    tensor = nvcv.as_tensor(array, "HWC")
    view = np.asarray(tensor.reshape((1, 20, 30, 3), "NHWC").cuda())
    del array, tensor
    gc.collect()
    assert alive() is not None and (view[0] == PHOTO).all()
    del view
    gc.collect()
    assert alive() is None and nvcv.cache_size() == 0


def read_only():
    array = PHOTO.copy()
    array.flags.writeable = False
    return array


class OnGpu:
    def __init__(self):
        self.__cuda_array_interface__ = {"shape": (4,), "typestr": "|u1", "data": (4096, False), "version": 3}


class OnGpuByDlpack:
    def __dlpack__(self, **_):
        raise AssertionError("asked for memory that cannot be taken")

    def __dlpack_device__(self):
        return (2, 0)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (read_only, "numpy.ndarray is read-only"),
        (lambda: bytes(12), "bytes is read-only"),
        (OnGpu, "is a GPU's, and objects here are on the host device"),
        (OnGpuByDlpack, "is a GPU's, and objects here are on the host device"),
        (lambda: PHOTO.copy().T, r"contiguous copy"),
        (lambda: PHOTO.copy()[:, ::2], r"contiguous copy"),
        (lambda: PHOTO.copy()[::-1], r"contiguous copy"),
        (lambda: np.zeros((3, 4), bool), "no place here"),
        (lambda: np.zeros((3, 4), ">f4"), "no place here"),
        (lambda: np.zeros(3, [("a", "u1")]), "no place here"),
        (lambda: np.zeros((0, 4), "u1"), r"\(0, 4\)"),
        (lambda: np.zeros((), "u1"), "no dimensions"),
        (lambda: np.zeros((1,) * 16, "u1"), "rank 16"),
        (lambda: np.zeros((4, 8), "u1")[:, :5], "layout of padded rows"),
    ],
)
def test_what_cannot_be_wrapped_is_told_why(source, says):
    with pytest.raises(nvcv.InvalidArgument, match=says) as caught:
        nvcv.as_tensor(source())
    assert caught.value.hint
    assert nvcv.cache_size() == 0


@pytest.mark.parametrize("wrong", [None, 3, "photo", [1, 2], object()])
def test_what_is_no_buffer_is_a_type_error(wrong):
    for call in (nvcv.as_tensor, *(() if isinstance(wrong, list) else (nvcv.as_image,))):
        with pytest.raises(TypeError, match="incompatible"):
            call(wrong)
    with pytest.raises(TypeError):
        nvcv.as_tensor(nvcv.Tensor((2,), "u1"))
