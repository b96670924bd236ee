"""The first object of this process, in which everything is new: one line of JSON, milliseconds.

    python bench/gpu_first.py MAKER [ready]      ready: imports and the GPU's context are there before the clock starts

`second` is the next object, a hit.
"""

import json
import sys
import time

import gpu_makers
import numpy as np

SHAPE, KIND = (1000, 1000, 3), np.dtype("f4")
MODULES = {
    "ours": "nvcv_cached",
    "torch.empty": "torch",
    "cupy.empty": "cupy",
    "cvcuda.Tensor": "cvcuda",
    "RMM's pool": "rmm",
}


def main():
    name = sys.argv[1]
    if "ready" in sys.argv[2:]:
        __import__(MODULES[name])
        gpu_makers.started()
    begin = time.perf_counter()
    make = gpu_makers.MAKERS[name]()
    make(SHAPE, KIND)
    first = time.perf_counter()
    make(SHAPE, KIND)
    print(json.dumps({"first": (first - begin) * 1e3, "second": (time.perf_counter() - first) * 1e3}))


if __name__ == "__main__":
    main()
