"""nvcv_cached.pickling: values and specs survive, pixels go out of band, and without it nothing is pickled."""

import pickle
import subprocess
import sys

import pytest
from conditions import clean_environment

PROGRAM = """
import copyreg, pickle
import numpy as np
import nvcv_cached as nvcv
from nvcv_cached import pickling

frame = nvcv.Tensor.zeros((30, 20, 3), np.uint8, "HWC")  # its rows are padded
np.asarray(frame)[...] = np.arange(1800, dtype=np.uint16).reshape(30, 20, 3)
try:
    pickle.dumps(frame)
except TypeError as error:
    print("refused:", error)
pickling.register()
"""


def run(node, code):
    _, environment = node()
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM + code], env=clean_environment() | environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    first, *rest = result.stdout.splitlines()
    assert first == "refused: Tensor cannot be copied or pickled"
    return rest


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_tensor_keeps_its_spec_and_its_elements(node, protocol):
    code = (
        f"made = pickle.loads(pickle.dumps(frame, {protocol}))\n"
        "print(made.shape, made.dtype, made.layout, made.id != frame.id, bool((np.asarray(made) == np.asarray(frame)).all()))\n"
        f"plain = pickle.loads(pickle.dumps(nvcv.Tensor((2,), nvcv.Type._3F32), {protocol}))\n"
        "print(plain.layout, plain.dtype == nvcv.Type._3F32)\n"
        "print(nvcv.cache_size() >= 2)"
    )
    assert run(node, code) == ["(30, 20, 3) uint8 HWC True True", "None True", "True"]


def test_the_elements_travel_out_of_band(node):
    code = (
        "buffers = []\n"
        "text = pickle.dumps(frame, 5, buffer_callback=buffers.append)\n"
        "print(len(text) < 500, [len(buffer.raw()) for buffer in buffers])\n"
        "made = pickle.loads(text, buffers=buffers)\n"
        "print(bool((np.asarray(made) == np.asarray(frame)).all()))"
    )
    assert run(node, code) == ["True [1800]", "True"]


def test_images_travel_with_all_planes(node):
    code = (
        "video = nvcv.Image([np.full((8, 16, 1), 7, np.uint8), np.full((4, 8, 2), 9, np.uint8)], nvcv.Format.NV12)\n"
        "made = pickle.loads(pickle.dumps(video))\n"
        "print(made.format, made.size, [int(plane.max()) for plane in made.cpu()])\n"
        "photo = pickle.loads(pickle.dumps(nvcv.Image(np.full((4, 6, 3), 5, np.uint8))))\n"
        "print(photo.format, photo.size, int(photo.cpu().min()))"
    )
    assert run(node, code) == ["Format.NV12 (16, 8) [7, 9]", "Format.RGB8 (6, 4) 5"]


def test_a_spawned_process_gets_its_own(node, tmp_path):
    """multiprocessing: by value, into an object of the receiver."""
    _, environment = node()
    script = tmp_path / "spawned.py"
    script.write_text(
        "import multiprocessing\nimport numpy as np\nimport nvcv_cached as nvcv\nfrom nvcv_cached import pickling\n\n"
        "def total(frame):\n    return type(frame).__name__, int(np.asarray(frame).sum())\n\n"
        "if __name__ == '__main__':\n    pickling.register()\n    frame = nvcv.Tensor.zeros((8, 8), np.uint8)\n"
        "    np.asarray(frame)[...] = 2\n    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(*pool.apply(total, (frame,)))\n"
    )
    result = subprocess.run(
        [sys.executable, script], env=clean_environment() | environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "Tensor 128\n"), result.stderr
