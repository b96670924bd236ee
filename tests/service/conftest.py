"""The workshop of the end-to-end tests, and a service manager for its daemons."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from workshop import pytest_runtest_makereport, workshop  # noqa: F401


@pytest.fixture
def manage(tmp_path):
    from manager import Manager

    made = []

    def make(**options):
        made.append(Manager(tmp_path, **options))
        return made[-1]

    yield make
    for manager in made:
        manager.close()
