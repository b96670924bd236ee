"""`make docs` makes both references, and refuses a public name without documentation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
sys.path.insert(0, str(REFERENCE))

import build  # noqa: E402

needs_doxygen = pytest.mark.skipif(
    shutil.which("doxygen") is None, reason="doxygen is not installed; do: deploy/setup/install-packages docs"
)


@needs_doxygen
def test_both_references_are_complete(tmp_path):
    result = subprocess.run(
        [sys.executable, REFERENCE / "build.py", tmp_path], capture_output=True, text=True, check=False, timeout=280
    )
    assert result.returncode == 0, result.stdout + result.stderr
    tensor = (tmp_path / "cpp" / "classnvcv__cached_1_1Tensor.html").read_text()
    assert "with NVCV's strides" in tensor and "unsupported type" in tensor
    package = (tmp_path / "python" / "nvcv_cached.html").read_text()
    for name in ("Tensor.reshape", "Tensor.zeros", "ImageBatchVarShape.pushback", "OutOfMemory", "connect"):
        assert f'id="{name}"' in package, name
    assert (tmp_path / "python" / "nvcv_cached" / "torch.html").is_file()


@needs_doxygen
def test_an_undocumented_cpp_name_is_refused(tmp_path, monkeypatch):
    copy = tmp_path / "tree"
    for part in ("client/include", "docs/reference"):
        shutil.copytree(ROOT / part, copy / part)
    header = copy / "client" / "include" / "nvcv_cached" / "buffer.h"
    text = header.read_text()
    header.write_text(text.replace("  void* data() const;", "  void* data() const;\n\n  int unexplained() const;"))
    monkeypatch.setattr(build, "ROOT", copy)
    trouble = build.cpp(tmp_path)
    assert any("unexplained() const" in line and "not documented" in line for line in trouble), trouble


def test_an_undocumented_python_name_is_refused():
    stub = 'class Box:\n    """A box."""\n    @property\n    def size(self) -> int: ...\n    def __len__(self) -> int: ...\n'
    assert build.undocumented(stub, "box.pyi") == ["box.pyi:4: Box.size has no docstring"]
