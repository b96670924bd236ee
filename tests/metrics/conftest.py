"""The workshop of the end-to-end tests: daemons on private directories, ended with the test."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from workshop import pytest_runtest_makereport, workshop  # noqa: F401
