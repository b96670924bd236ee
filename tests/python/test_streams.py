"""Streams on the host device: there, and without effect, so that one script runs on both."""

import threading

import numpy as np
import nvcv_cached as nvcv
import pytest
from device_memory import HOST_ONLY, ON_GPU

pytestmark = pytest.mark.skipif(ON_GPU, reason=HOST_ONLY)


def test_the_current_stream_is_the_one_entered_last_on_this_thread():
    assert nvcv.Stream.current is nvcv.Stream.default
    assert nvcv.Stream.default.handle == int(nvcv.Stream.default) == 0
    outer, inner, seen = nvcv.Stream(), nvcv.as_stream(0x1230), []
    with outer as entered:
        assert entered is None and nvcv.Stream.current is outer
        with inner:
            assert nvcv.Stream.current is inner and inner.handle == 0x1230
            thread = threading.Thread(target=lambda: seen.append(nvcv.Stream.current is nvcv.Stream.default))
            thread.start()
            thread.join()
        assert nvcv.Stream.current is outer
    assert nvcv.Stream.current is nvcv.Stream.default and seen == [True]


def test_leaving_a_stream_that_is_not_current_is_an_error_unless_one_is_passing():
    stream = nvcv.Stream()
    with pytest.raises(RuntimeError, match="not the current one"):
        stream.__exit__(None, None, None)
    assert stream.__exit__(ValueError, ValueError(), None) is None


class TorchStream:
    cuda_stream = 0x4560


class CupyStream:
    ptr = 0x7890


@pytest.mark.parametrize(
    "source, handle", [(TorchStream(), 0x4560), (CupyStream(), 0x7890), (2, 2), (np.int64(64), 64)]
)
def test_as_stream_takes_what_others_call_a_stream(source, handle):
    stream = nvcv.as_stream(source)
    assert stream.handle == handle and stream is not nvcv.as_stream(source)
    assert repr(stream).endswith(f"handle={handle:#x}>")


@pytest.mark.parametrize("source", ["0", 1.0, None])
def test_as_stream_takes_nothing_else(source):
    with pytest.raises(TypeError):
        nvcv.as_stream(source)


def test_a_negative_handle_is_refused():
    with pytest.raises(nvcv.InvalidArgument, match="no handle"):
        nvcv.as_stream(-1)


def test_tensors_take_streams_as_they_come():
    tensor = nvcv.Tensor((4, 5), "u1")
    tensor.record_stream(nvcv.Stream())
    tensor.record_stream(TorchStream())
    assert not hasattr(tensor, "__cuda_array_interface__")
    assert np.from_dlpack(tensor).shape == (4, 5)
    nvcv.Stream.default.wait_stream(nvcv.Stream())
    nvcv.Stream.default.sync()
