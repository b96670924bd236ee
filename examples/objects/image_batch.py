"""A batch of images of different sizes."""

import nvcv_cached as nvcv

batch = nvcv.ImageBatchVarShape(8)
batch.pushback([nvcv.Image((640, 480), nvcv.Format.RGB8), nvcv.Image((320, 960), nvcv.Format.RGB8)])
print(len(batch), batch.maxsize, batch.uniqueformat)  # 2 (640, 960) Format.RGB8
try:
    batch.popback(3)
except nvcv.Underflow as error:
    print(error.code)  # UNDERFLOW
