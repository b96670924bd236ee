"""What the tests of packages share: the README's blocks, and a place to run what was installed."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "readme"))

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("NVCV_CACHED_BUILD", ROOT / "build"))
CXX = os.environ.get("NVCV_CACHED_CXX", "c++")


@pytest.fixture(scope="session")
def build():
    return BUILD


@pytest.fixture
def consume(tmp_path):
    """Builds and runs the consumer project against an install tree."""

    def consume(prefix, *cmake_flag):
        script = ROOT / "tests" / "consumer" / "consume.sh"
        found = subprocess.run(
            [script, prefix, tmp_path, CXX, *cmake_flag], check=False, capture_output=True, text=True, timeout=300
        )
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    return consume


@pytest.fixture
def runtime():
    """A short path for sockets, without a daemon; whoever starts one there is asked to end it (`stop`)."""
    made = Path(tempfile.mkdtemp(prefix="nvcv-packages-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def bare_environment(runtime, *folders):
    """A user's environment on a machine that has the programs in `folders` and elsewhere no trace of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NVCV_CACHED_", "PYTHON", "LD_LIBRARY"))}
    return {
        **kept,
        "PATH": ":".join([*map(str, folders), "/usr/bin", "/bin"]),
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_CONFIG_HOME": str(runtime),
        "CUDA_VISIBLE_DEVICES": "",
    }
