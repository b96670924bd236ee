"""Fixtures; without a GPU (real or fake) every test here is skipped, with what the daemon says about it."""

import pytest
from gpu_daemon import Place


@pytest.fixture(scope="session")
def why_not():
    place = Place()
    result = place.run("--device=cuda:0", "--check-config")
    place.close()
    return "" if result.returncode == 0 else result.stderr.strip()


@pytest.fixture
def place(why_not):
    if why_not:
        pytest.skip(why_not)
    made = Place()
    yield made
    made.close()
