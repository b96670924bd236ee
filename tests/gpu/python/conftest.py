"""Fixtures: a daemon on a GPU (or the fake driver), and client processes of it. Without either, all is skipped."""

import sys
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from cuda_calls import Gate
from gpu_daemon import FAKE, Place
from workers import Worker

MIB = 1 << 20


@pytest.fixture(scope="session")
def why_not():
    try:
        import nvcv_cached  # noqa: F401
    except ImportError as error:
        return f"no nvcv_cached: {error}"
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


@pytest.fixture
def real_gpu(place):
    if FAKE:
        pytest.skip("the fake driver runs no kernels")


@pytest.fixture
def one_block(place):
    """A daemon whose pool is one slab of 16 blocks of 512 KiB."""
    return place.start("--device=cuda:0", "--capacity=8MiB", "--limit=8MiB", "--slab-size=8MiB", "--keep-time=1h")


@pytest.fixture
def roomy(place):
    return place.start("--device=cuda:0", "--capacity=256MiB", "--limit=256MiB")


def gates():
    made = Gate(f"nvcv-gate-{uuid.uuid4().hex}")
    yield made
    made.open()
    made.remove()


gate = pytest.fixture(gates, name="gate")
second_gate = pytest.fixture(gates, name="second_gate")


@pytest.fixture
def client(place):
    made = []

    def start(daemon, **kwargs):
        made.append(Worker(daemon, **kwargs))
        return made[-1]

    yield start
    for worker in made:
        worker.close()
