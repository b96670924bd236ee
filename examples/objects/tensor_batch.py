"""A batch of tensors of one rank, type and layout."""

import numpy as np
import nvcv_cached as nvcv

batch = nvcv.as_tensors([np.zeros((height, 64, 3), np.uint8) for height in (48, 96)], "HWC")
print(batch.ndim, batch.dtype, batch.layout)  # 3 uint8 HWC
print(batch[1].shape)  # (96, 64, 3)
