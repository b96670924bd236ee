"""Decoders and a consumer on Ray, with nvcv-cached under them: on one node, or on many.

    python examples/ray/pipeline.py              # two workers on this machine
    python examples/ray/pipeline.py auto         # on the cluster that this machine is part of

Nothing names a daemon: each worker process finds its node's, as every process does. Workers of one node share its
cache; what goes to another node goes through Ray's object store, as a value.
"""

import sys

import numpy as np
import nvcv_cached as nvcv
import ray
from nvcv_cached import pickling


@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
class Decoder:
    def __init__(self):
        pickling.register()  # it sends tensors

    def decode(self, number, frames=100):
        """The last of so many frames; all but two are hits: the next is made while one is held."""
        for index in range(frames):
            frame = nvcv.Tensor((480, 640, 3), np.uint8, "HWC")
            np.asarray(frame)[...] = (number + index) % 256
        return frame

    def report(self):
        return nvcv.stats()["hits"]


@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
class Consumer:
    def mean(self, frame):  # a tensor of this node's cache, filled from the object store
        return type(frame).__name__, frame.shape, float(np.asarray(frame).mean())


def main():
    options = {"address": sys.argv[1]} if len(sys.argv) > 1 else {"num_cpus": 2, "include_dashboard": False}
    ray.init(log_to_driver=False, logging_level="ERROR", **options)
    decoder, consumer = Decoder.remote(), Consumer.remote()
    print(*ray.get(consumer.mean.remote(decoder.decode.remote(1))))  # Tensor (480, 640, 3) 100.0
    print(ray.get(decoder.report.remote()), "hits")  # 98 hits
    ray.shutdown()


if __name__ == "__main__":
    main()
