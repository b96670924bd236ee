"""`node()` is a node: a real daemon, and the environment in which its workers find it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from conditions import MIB, clean_environment
from workshop import pytest_runtest_makereport, workshop  # noqa: F401

ROOT = Path(__file__).parents[2]


@pytest.fixture
def node(workshop):  # noqa: F811
    def make():
        daemon = workshop.daemon(capacity=48 * MIB, limit=48 * MIB)
        return daemon, {
            "NVCV_CACHED_ADDRESS": str(daemon.socket),
            "NVCV_CACHED_DEVICE": "host",
            "NVCV_CACHED_AUTOSTART": "0",
        }

    return make


@pytest.fixture
def recipe():
    """Runs an example, and compares what it prints with what its comments promise."""

    def run(path, environment):
        program = ROOT / "examples" / path
        result = subprocess.run(
            [sys.executable, program], env=clean_environment() | environment, capture_output=True, text=True,
            timeout=200, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        promised = re.findall(r"^\s*print\(.*\)  # (.*)$", program.read_text(), re.MULTILINE)
        assert promised and result.stdout.splitlines() == promised

    return run
