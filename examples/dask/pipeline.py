"""Decoders and a consumer on Dask, with nvcv-cached under them: on one node, or on many.

    python examples/dask/pipeline.py                        # two workers on this machine
    python examples/dask/pipeline.py tcp://scheduler:8786   # on a cluster

Nothing names a daemon: each worker process finds its node's, as every process does. Workers of one node share its
cache; what goes to another worker goes through Dask's own transfer, as a value.
"""

import sys

import numpy as np
import nvcv_cached as nvcv
from distributed import Client, LocalCluster, WorkerPlugin
from nvcv_cached import pickling


class Tensors(WorkerPlugin):
    """Lets each worker send tensors."""

    def setup(self, worker):
        pickling.register()


def decode(number, frames=100):
    """The last of so many frames; all but two are hits: the next is made while one is held."""
    for index in range(frames):
        frame = nvcv.Tensor((480, 640, 3), np.uint8, "HWC")
        np.asarray(frame)[...] = (number + index) % 256
    return frame


def mean(frame):  # a tensor of this node's cache, filled from what arrived
    return type(frame).__name__, frame.shape, float(np.asarray(frame).mean())


def hits():
    return nvcv.stats()["hits"]


def run(client):
    client.register_plugin(Tensors())
    first, second = list(client.scheduler_info()["workers"])[:2]
    frame = client.submit(decode, 1, workers=[first], pure=False)
    print(*client.submit(mean, frame, workers=[second], pure=False).result())  # Tensor (480, 640, 3) 100.0
    print(client.submit(hits, workers=[first], pure=False).result(), "hits")  # 98 hits


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with Client(sys.argv[1]) as connected:
            run(connected)
    else:
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as local,
        ):
            run(local)
