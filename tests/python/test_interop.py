"""Memory in both directions: NumPy, Pillow, scikit-image, OpenCV, torch where it is installed; and what is refused."""

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
    image = nvcv.as_image(array)
    array[5, 6] = 77
    assert (image.cpu()[5, 6] == 77).all() and address(image.cuda()) == array.ctypes.data
    batch = nvcv.as_images([array, np.zeros((4, 5), np.float32)])
    assert [member.format for member in batch] == [nvcv.Format.RGB8, nvcv.Format.F32]


def test_pillow_both_ways():
    pil = pytest.importorskip("PIL.Image")
    picture = pil.fromarray(PHOTO)
    image = nvcv.Image(picture)
    assert image.format == nvcv.Format.RGB8 and (image.cpu() == PHOTO).all()
    assert pil.fromarray(image.cpu()).tobytes() == picture.tobytes()
    assert nvcv.Image(picture.convert("L")).format == nvcv.Format.U8
    assert nvcv.Image(picture.convert("RGBA")).format == nvcv.Format.RGBA8
    tensor = nvcv.Tensor(PHOTO.shape, np.uint8, "HWC")
    np.asarray(tensor)[...] = picture
    assert pil.fromarray(np.asarray(tensor)).tobytes() == picture.tobytes()
    with pytest.raises(nvcv.InvalidArgument, match="read-only"):
        nvcv.as_image(picture)  # its bytes are Pillow's


def test_scikit_image_both_ways():
    skimage = pytest.importorskip("skimage")
    from skimage import color, transform

    image = nvcv.Image(PHOTO)
    half = transform.resize(np.asarray(image.cuda()), (10, 15), preserve_range=True).astype(np.float32)
    wrapped = nvcv.as_image(half)
    assert wrapped.format == nvcv.Format.RGBf32 and address(wrapped.cuda()) == half.ctypes.data
    grey = color.rgb2gray(np.asarray(wrapped.cuda()))
    assert np.array_equal(nvcv.Image(grey).cpu(), grey) and nvcv.as_tensor(grey, "HW").dtype == grey.dtype
    chelsea = skimage.data.chelsea()
    assert np.array_equal(nvcv.Image(chelsea).cpu(), chelsea)


def test_opencv_both_ways():
    cv2 = pytest.importorskip("cv2")
    image = nvcv.Image(PHOTO)
    pixels = np.asarray(image.cuda())
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    target = nvcv.Image((30, 20), nvcv.Format.U8)
    seen = np.asarray(target.cuda())
    assert cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY, dst=seen) is seen  # into the image itself, rows padded
    assert (target.cpu() == grey).all()
    small = nvcv.Tensor((10, 15, 3), np.uint8, "HWC")
    cv2.resize(pixels, (15, 10), dst=np.asarray(small), interpolation=cv2.INTER_AREA)
    assert np.array_equal(np.asarray(small), cv2.resize(PHOTO, (15, 10), interpolation=cv2.INTER_AREA))
    wrapped = nvcv.as_image(grey)
    assert wrapped.format == nvcv.Format.U8 and address(wrapped.cuda()) == grey.ctypes.data
    swapped = nvcv.as_image(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), nvcv.Format.BGR8)
    assert swapped.format == nvcv.Format.BGR8 and np.array_equal(swapped.cpu()[..., ::-1], PHOTO)


def test_torch_both_ways():
    torch = pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    source = torch.arange(60, dtype=torch.uint8).reshape(4, 5, 3)
    tensor = nvcv.as_tensor(source, "HWC")
    seen = torch.from_dlpack(tensor)
    assert seen.data_ptr() == source.data_ptr() == address(tensor)
    seen[1, 2] = 9
    assert (np.asarray(tensor)[1, 2] == 9).all()
    assert nvcv.as_image(source).format == nvcv.Format.RGB8
    made = nvcv.Tensor((4, 8), np.float32, "HW")
    borrowed = torch.from_dlpack(made.cuda())
    place = address(made)
    del made
    gc.collect()
    assert borrowed.data_ptr() == place != address(nvcv.Tensor((4, 8), np.float32, "HW"))
    with pytest.raises(nvcv.InvalidArgument, match="strides"):
        nvcv.as_tensor(source.permute(2, 1, 0))


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
    ("source", "found", "do"),
    [
        (read_only, "numpy.ndarray is read-only", "a copy of it"),
        (lambda: bytes(12), "bytes is read-only", "a copy of it"),
        (OnGpu, "OnGpu is a GPU's, and objects here are on the host device", "copy it to the host"),
        (OnGpuByDlpack, "OnGpuByDlpack is a GPU's, and objects here are on the host device", "copy it to the host"),
        (lambda: PHOTO.copy().T, r"\(3, 30, 20\) U8 with strides \(1, 3, 90\)", "contiguous copy"),
        (lambda: PHOTO.copy()[:, ::2], r"\(20, 15, 3\) U8 with strides \(90, 6, 1\)", "contiguous copy"),
        (lambda: PHOTO.copy()[::-1], "dimension 0 has -90, and must have 90 or more", "contiguous copy"),
        (lambda: np.zeros((3, 4), bool), r"elements of type '\?' have no place here", "convert"),
        (lambda: np.zeros((3, 4), ">f4"), "elements of type '>f' have no place here", "convert"),
        (lambda: np.zeros(3, [("a", "u1")]), "elements of type 'T{B:a:}' have no place here", "convert"),
        (lambda: np.zeros((0, 4), "u1"), r"\(0, 4\)", ""),
        (lambda: np.zeros((), "u1"), "no dimensions", "1 to 15"),
        (lambda: np.zeros((1,) * 16, "u1"), "rank 16", ""),
        (lambda: np.zeros((4, 8), "u1")[:, :5], "dimension 0 has 8, and must have 5", "layout of padded rows"),
    ],
)
def test_what_cannot_be_wrapped_is_told_what_was_found(source, found, do):
    with pytest.raises(nvcv.InvalidArgument, match=found) as caught:
        nvcv.as_tensor(source())
    assert caught.value.hint and do in caught.value.hint
    assert nvcv.cache_size() == 0


@pytest.mark.parametrize("source", [OnGpu, OnGpuByDlpack])
def test_an_image_of_pixels_on_the_host_says_that_these_are_a_gpus(source):
    with pytest.raises(nvcv.InvalidArgument, match=rf"{source.__name__} is a GPU's, and is to be read on the host"):
        nvcv.Image(source())


@pytest.mark.parametrize("wrong", [None, 3, "photo", [1, 2], object()])
def test_what_is_no_buffer_is_a_type_error(wrong):
    for call in (nvcv.as_tensor, *(() if isinstance(wrong, list) else (nvcv.as_image,))):
        with pytest.raises(TypeError, match="incompatible"):
            call(wrong)
    with pytest.raises(TypeError):
        nvcv.as_tensor(nvcv.Tensor((2,), "u1"))
