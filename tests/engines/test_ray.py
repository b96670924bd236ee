"""examples/ray on real Ray: two workers of one node share its cache; objects travel between two nodes."""

import os

import pytest
from conditions import MIB, eventually

ray = pytest.importorskip("ray", reason="ray is not installed; do: pip install ray")

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}


def test_the_recipe_prints_what_it_promises(node, recipe):
    daemon, environment = node()
    recipe("ray/pipeline.py", environment | QUIET)
    eventually(lambda: daemon.books().sessions == 0, "its workers have ended")
    assert daemon.books().in_use == 0


@pytest.fixture
def nodes(node, monkeypatch):
    """A Ray cluster of two nodes on this machine, each with a daemon of its own."""
    from ray.cluster_utils import Cluster

    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    made = {name: node() for name in ("left", "right")}
    cluster = Cluster()
    for name, (_, environment) in made.items():
        cluster.add_node(
            num_cpus=2,
            resources={name: 2},
            env_vars=environment,
            object_store_memory=128 * MIB,
            include_dashboard=False,
        )
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield {name: daemon for name, (daemon, _) in made.items()}
    ray.shutdown()
    cluster.shutdown()


def worker(where):
    """An actor on that node, which fills, sends, receives and drops tensors."""

    @ray.remote(num_cpus=1, resources={where: 1})
    class Worker:
        def __init__(self):
            from nvcv_cached import pickling

            pickling.register()

        def make(self, rows, value):
            import numpy as np
            import nvcv_cached as nvcv

            frame = nvcv.Tensor((rows, 1024, 1024), np.uint8)
            np.asarray(frame)[...] = value
            return frame

        def leave_idle(self, rows):
            self.make(rows, 0)
            return os.getpid()

        def receive(self, frame):
            import numpy as np
            import nvcv_cached as nvcv

            return type(frame) is nvcv.Tensor, frame.shape, float(np.asarray(frame).mean())

    return Worker.remote()


def test_workers_find_their_nodes_daemon_and_share_its_cache(nodes):
    first, second, other = worker("left"), worker("left"), worker("right")
    ray.get([first.leave_idle.remote(32), other.leave_idle.remote(32)])
    assert (nodes["left"].books().sessions, nodes["right"].books().sessions) == (1, 1)
    ray.get(second.leave_idle.remote(32))  # 64 MiB do not fit into 48: it takes what the first left idle
    assert nodes["left"].books().sessions == 2
    assert nodes["left"].books().idle == nodes["right"].books().idle == 32 * MIB


def test_objects_travel_between_nodes_through_the_object_store(nodes):
    sender, receiver = worker("left"), worker("right")
    frame = sender.make.remote(8, 3)
    assert ray.get(receiver.receive.remote(frame)) == (True, (8, 1024, 1024), 3.0)
    assert nodes["right"].books().totals["misses"] == 1  # its own, on its node
    assert nodes["left"].books().in_use == 0  # Ray's store has the value, not the sender's tensor
