"""examples/dask on real Dask: two workers of one node share its cache; objects travel between two nodes."""

import importlib.util
from pathlib import Path

import pytest
from conditions import MIB, eventually

distributed = pytest.importorskip("distributed", reason="Dask is not installed; do: pip install distributed")

RECIPE = Path(__file__).parents[2] / "examples" / "dask" / "pipeline.py"


def test_the_recipe_prints_what_it_promises(node, recipe):
    daemon, environment = node()
    recipe("dask/pipeline.py", environment)
    eventually(lambda: daemon.books().sessions == 0, "its workers have ended")
    assert daemon.books().in_use == 0


def make(rows, value):
    import numpy as np
    import nvcv_cached as nvcv

    frame = nvcv.Tensor((rows, 1024, 1024), np.uint8)
    np.asarray(frame)[...] = value
    return frame


def leave_idle(rows):
    make(rows, 0)


def receive(frame):
    import numpy as np
    import nvcv_cached as nvcv

    return type(frame) is nvcv.Tensor, frame.shape, float(np.asarray(frame).mean())


@pytest.fixture
def cluster(node):
    """Workers a and b on one node, c on another one; each node has a daemon."""
    left, right = node(), node()
    here = str(Path(__file__).parent)

    def worker(environment):
        options = {"nthreads": 1, "env": environment | {"PYTHONPATH": here}, "dashboard": False}
        return {"cls": distributed.Nanny, "options": options}

    workers = {name: worker(environment) for name, (_, environment) in {"a": left, "b": left, "c": right}.items()}
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard": False, "port": 0}}
    with (
        distributed.SpecCluster(workers=workers, scheduler=scheduler, silence_logs=True) as made,
        distributed.Client(made) as client,
    ):
        specification = importlib.util.spec_from_file_location("pipeline", RECIPE)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        client.upload_file(str(RECIPE))
        client.register_plugin(module.Tensors())

        def submit(name, function, *arguments):
            return client.submit(function, *arguments, workers=[name], pure=False)

        yield submit, left[0], right[0]


def test_workers_find_their_nodes_daemon_and_share_its_cache(cluster):
    submit, left, right = cluster
    submit("a", leave_idle, 32).result()
    submit("c", leave_idle, 32).result()
    assert (left.books().sessions, right.books().sessions) == (1, 1)
    submit("b", leave_idle, 32).result()  # 64 MiB do not fit into 48: it takes what a left idle
    assert left.books().sessions == 2
    assert left.books().idle == right.books().idle == 32 * MIB


def test_objects_travel_between_nodes_by_dasks_transfer(cluster):
    submit, _left, right = cluster
    frame = submit("a", make, 8, 3)
    assert submit("c", receive, frame).result() == (True, (8, 1024, 1024), 3.0)
    assert right.books().totals["misses"] == 1
