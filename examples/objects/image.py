"""Images: copied from an array, wrapped without a copy, with planes of their own."""

import numpy as np
import nvcv_cached as nvcv

pixels = np.zeros((480, 640, 3), np.uint8)
photo = nvcv.Image(pixels)  # a copy; the format is inferred
print(photo.format, photo.size)  # Format.RGB8 (640, 480)
same = nvcv.as_image(pixels, nvcv.Format.BGR8)  # no copy: keeps `pixels`, counts 0 bytes
print(nvcv.internal.nbytes_in_cache(same))  # 0
video = nvcv.Image.zeros((640, 480), nvcv.Format.NV12)
print([plane.shape for plane in video.cpu()])  # [(480, 640, 1), (240, 320, 2)]
