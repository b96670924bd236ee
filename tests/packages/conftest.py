"""What the tests of packages share: the README's blocks, and a place to run what was installed."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "readme"))

from blocks import ROOT, run

BUILD = Path(os.environ.get("NVCV_CACHED_BUILD", ROOT / "build"))
CXX = os.environ.get("NVCV_CACHED_CXX", "c++")


# Packages are made and installed: more than the seconds of a usual test, on a busy machine.
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.timeout(580))


@pytest.fixture(scope="session")
def build():
    return BUILD


@pytest.fixture(scope="session")
def packages(build, tmp_path_factory):
    """The folder of Debian's packages, as `make deb` makes them."""
    out = tmp_path_factory.mktemp("deb")
    run(["cpack", "-G", "DEB", "--config", build / "CPackConfig.cmake", "-B", out], None)
    return out


@pytest.fixture
def overlay():
    """A script that runs a command as root on this machine's files, of which no change stays."""
    if os.geteuid() != 0:
        pytest.skip("only root installs packages")
    script = Path(__file__).parent / "overlay.sh"
    possible = subprocess.run([script, "true"], check=False, capture_output=True, text=True)
    if possible.returncode != 0:
        pytest.skip(f"no overlay can be mounted here: {possible.stderr.strip()}")
    return script


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
