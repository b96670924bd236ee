"""Each example prints what its comments promise."""

import re
from pathlib import Path

import pytest
from device_memory import HOST_ONLY, ON_GPU

pytestmark = pytest.mark.skipif(ON_GPU, reason=HOST_ONLY)

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "objects").glob("*.py"))


def test_there_is_one_for_each_class():
    assert [path.stem for path in EXAMPLES] == [
        "external_cache_item", "image", "image_batch", "stream", "tensor", "tensor_batch",
    ]  # fmt: skip


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_print_what_they_promise(script, path):
    text = path.read_text()
    result = script(text, NVCV_CACHED_LEAK_WARNINGS="0")  # the default stream stays for the process
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert result.stdout.splitlines() == re.findall(r"^\s*print\(.*\)  # (.*)$", text, re.MULTILINE)
