"""Each example prints what its comments promise."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from conditions import clean_environment
from conftest import environment_of
from device_memory import HOST_ONLY, ON_GPU

pytestmark = pytest.mark.skipif(ON_GPU, reason=HOST_ONLY)

FOLDER = Path(__file__).parents[2] / "examples" / "objects"
PYTHON = sorted(FOLDER.glob("*.py"))
CPP = sorted(FOLDER.glob("*.cc"))


@pytest.mark.parametrize("paths", [PYTHON, CPP], ids=["python", "cpp"])
def test_there_is_one_for_each_class(paths):
    assert [path.stem for path in paths] == [
        "external_cache_item", "image", "image_batch", "stream", "tensor", "tensor_batch",
    ]  # fmt: skip


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.stem)
def test_examples_print_what_they_promise(script, path):
    text = path.read_text()
    result = script(text, NVCV_CACHED_LEAK_WARNINGS="0")  # the default stream stays for the process
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert result.stdout.splitlines() == re.findall(r"^\s*print\(.*\)  # (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("path", CPP, ids=lambda path: path.stem)
def test_examples_in_cpp_print_what_they_promise(served, path):
    """A statement's promise stands after it, or under it where the line is full."""
    promised = re.findall(r"std::cout <<[^;]*;\s*// (.*)$", path.read_text(), re.MULTILINE)
    assert promised
    program = Path(os.environ["NVCV_CACHED_BIN"]) / f"example_{path.stem}"
    environment = clean_environment() | environment_of(served)
    result = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert result.stdout.splitlines() == promised
