"""The workshop of the end-to-end tests: daemons on private directories, ended with the test."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))


@pytest.fixture
def workshop():
    from daemon import Workshop

    made = Workshop()
    yield made
    trouble = made.close()
    made.remove()
    assert not trouble, trouble
