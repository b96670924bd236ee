"""Objects on a GPU's memory, tried on the fake driver: copies, wrappers and streams go through the driver there."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conditions import clean_environment

BIN = Path(os.environ["NVCV_CACHED_BIN"])
DRIVER = BIN.parent / "fake_cuda"

PROGRAM = """
import gc, numpy as np, nvcv_cached as nvcv
pixels = (np.arange(48 * 64 * 3) % 251).astype(np.uint8).reshape(48, 64, 3)
image = nvcv.Image(pixels)
assert (image.cpu() == pixels).all()
assert [plane.max() for plane in nvcv.Image.zeros((64, 48), nvcv.Format.NV12).cpu()] == [0, 0]
exported = image.cuda()
assert exported.__dlpack_device__() == (2, 0) and exported.__cuda_array_interface__["shape"] == (48, 64, 3)
class Interface:
    def __init__(self):
        self.kept, self.__cuda_array_interface__ = exported, exported.__cuda_array_interface__
class Dlpack:
    def __dlpack__(self, **keywords):
        return exported.__dlpack__(**keywords)
    def __dlpack_device__(self):
        return exported.__dlpack_device__()
for source in (exported, Interface(), Dlpack()):
    wrapped = nvcv.as_image(source, nvcv.Format.BGR8)
    assert (wrapped.cpu() == pixels).all() and nvcv.internal.nbytes_in_cache(wrapped) == 0
    assert nvcv.as_tensor(source, "HWC").cuda().__dlpack_device__() == (2, 0)
view = nvcv.Tensor((4, 8, 3), np.uint8, "HWC").reshape((1, 4, 8, 3), "NHWC")
assert view.__cuda_array_interface__["strides"] == (128, 32, 3, 1)
stream = nvcv.Stream()
number, handle = stream.id, stream.handle
with stream:
    nvcv.Tensor((9,), np.uint8).cuda().__cuda_array_interface__
for other in (stream, nvcv.Stream.default, stream):
    image.submitStreamSync(other)
    view.submitStreamSync(stream=other)  # its parent's memory
    nvcv.as_tensor(exported, "HWC").submitStreamSync(other)
stream.sync()
del stream, other
gc.collect()
again = nvcv.Stream()
assert handle != 0 and (again.id, again.handle) == (number, handle)
for wrap in (nvcv.as_tensor, nvcv.as_image):
    try:
        wrap(pixels)
    except nvcv.InvalidArgument as error:
        assert "is the host's, and objects here are on a GPU" in str(error)
    else:
        raise AssertionError("host memory was wrapped on a GPU")
print("done")
"""


@pytest.mark.skipif(not DRIVER.is_dir(), reason="the fake driver is not built")
def test_objects_go_through_the_driver():
    folder = Path(tempfile.mkdtemp(prefix="nvcv-fake-"))
    environment = clean_environment() | {
        "LD_LIBRARY_PATH": str(DRIVER),
        "FAKE_CUDA_DIR": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "NVCV_CACHED_DEVICE": "cuda:0",
        "NVCV_CACHED_DAEMON": str(BIN / "nvcv-cached"),
    }
    environment.pop("CUDA_VISIBLE_DEVICES", None)  # the fake GPU is there for everybody
    try:
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60
        )
        assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr
    finally:
        subprocess.run([BIN / "nvcv-cachectl", "stop"], env=environment, capture_output=True, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
