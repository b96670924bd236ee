"""Streams: the current one of a thread, and reuse."""

import nvcv_cached as nvcv

stream = nvcv.Stream()
with stream:
    frame = nvcv.Tensor((480, 640, 3), "u1", "HWC")  # on a GPU its memory is for work on this stream
frame.record_stream(nvcv.Stream.default)  # it is used there too
stream.sync()
number = stream.id
del stream
print(nvcv.Stream().id == number)  # True
