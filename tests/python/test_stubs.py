"""The stubs are those of the installed extension, and type checkers read them."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

CLIENT = Path(__file__).parents[2] / "python_client"


def test_stubs_are_the_extensions():
    result = subprocess.run(
        [sys.executable, CLIENT / "stubs.py", "--check"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stdout + result.stderr + "\ndo: make stubs"


def test_the_package_is_typed():
    package = files("nvcv_cached")
    assert (package / "py.typed").is_file() and (package / "_core.pyi").is_file()


def test_mypy_reads_them(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np\nimport nvcv_cached as nvcv\n"
        'tensor = nvcv.Tensor((1, 2), np.uint8, "HW")\n'
        "shape: tuple[int, ...] = tensor.shape\n"
        "hits: int = nvcv.stats()['hits']\n"
        "view: np.ndarray = np.asarray(tensor)\n"
        "nvcv.clear_cache(nvcv.ThreadScope.LOCAL)\n"
        "nvcv.Tensor([1, 2], np.uint8)\n"  # the one error
    )
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", program],
        check=False, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert result.stdout.count("error:") == 1 and "program.py:8: error:" in result.stdout, result.stdout
