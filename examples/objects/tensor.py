"""A tensor: made, filled, seen in another shape, reused."""

import numpy as np
import nvcv_cached as nvcv

frame = nvcv.Tensor.zeros((480, 640, 3), np.uint8, "HWC")  # rows are padded as NVCV pads them
np.asarray(frame)[...] = 128  # on the host device; torch.from_dlpack(frame) on a GPU
batch = frame.reshape((1, 480, 640, 3), "NHWC")  # the same memory
print(batch, batch.layout)  # <nvcv.Tensor shape=(1, 480, 640, 3) dtype=uint8> NHWC
del frame, batch
again = nvcv.Tensor((480, 640, 3), np.uint8, "HWC")  # a hit: no call, no lock
print(nvcv.stats()["hits"])  # 1
