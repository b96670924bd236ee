"""In one process beside libraries with a gRPC, protobuf and Abseil of their own: both sides work."""

import textwrap

import pytest

pytestmark = pytest.mark.timeout(300)  # TensorFlow takes its time to load

OURS = textwrap.dedent("""
    import numpy as np, nvcv_cached as nvcv
    def ours():
        tensor = nvcv.Tensor((64, 64), np.float32, "HW")
        np.asarray(tensor)[...] = 3
        assert nvcv.cache_size() == 1 and nvcv.stats()["misses"] >= 1
        return tensor
""")
GRPC = textwrap.dedent("""
    import grpc, threading
    from concurrent import futures
    from google.protobuf import struct_pb2
    def theirs():
        message = struct_pb2.Struct()
        message.update({"a": 1, "b": [2, 3]})
        class Echo(grpc.GenericRpcHandler):
            def service(self, details):
                return grpc.unary_unary_rpc_method_handler(
                    lambda request, context: request,
                    struct_pb2.Struct.FromString, struct_pb2.Struct.SerializeToString)
        server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Echo()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/t.Echo/Say", struct_pb2.Struct.SerializeToString, struct_pb2.Struct.FromString)
            assert call(message, timeout=20) == message
        server.stop(None).wait()
""")
TENSORFLOW = textwrap.dedent("""
    import os
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    def theirs():
        assert float(tf.reduce_sum(tf.ones((64, 64)) * 2)) == 8192
        proto = tf.train.Example()
        proto.features.feature["x"].int64_list.value.append(7)
        assert tf.train.Example.FromString(proto.SerializeToString()) == proto
""")
OTHERS = {"grpc": GRPC, "tensorflow": TENSORFLOW}


@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("other", OTHERS)
def test_beside(script, other, first):
    parts = [OURS, OTHERS[other]]
    if first == "theirs":
        parts.reverse()
    calls = "ours()\ntheirs()\nours()\n" if first == "ours" else "theirs()\nours()\ntheirs()\n"
    result = script("".join(parts) + calls + "print('both')", timeout=240, NVCV_CACHED_LEAK_WARNINGS="0")
    assert (result.returncode, result.stdout.split()[-1:]) == (0, ["both"]), result.stderr


def test_tensorflow_sees_the_memory(script):
    code = """
        tensor = ours()
        place = np.asarray(tensor).ctypes.data
        seen = tf.experimental.dlpack.from_dlpack(tensor.__dlpack__())
        assert float(tf.reduce_sum(seen)) == 3 * 64 * 64
        np.asarray(tensor)[...] = 4
        assert float(tf.reduce_sum(seen)) == 4 * 64 * 64
        del tensor
        other = nvcv.Tensor((64, 64), np.float32, "HW")
        assert np.asarray(other).ctypes.data != place  # TensorFlow holds the first
        print("seen")
    """
    result = script(OURS + TENSORFLOW + textwrap.dedent(code), timeout=240, NVCV_CACHED_LEAK_WARNINGS="0")
    assert (result.returncode, result.stdout.split()[-1:]) == (0, ["seen"]), result.stderr
