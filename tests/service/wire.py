"""Protocol buffers by their numbers alone, as a program of another version reads and writes them."""

import contextlib
import queue

import grpc

ATTACH = "/nvcv_cached.v1.Session/Attach"


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number, value):
    """One field: an int as varint, bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """number -> list of values: ints, or bytes of strings and messages."""
    found, position = {}, 0

    def number():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or number()
            value = data[position : position + size]
            position += size
        found.setdefault(key >> 3, []).append(value)
    return found


class Stream:
    """A call whose messages are bytes; ends with the block."""

    def __init__(self, channel, method):
        self._outgoing = queue.Queue()
        self._call = channel.stream_stream(method)(iter(self._outgoing.get, None), timeout=30)

    def send(self, data):
        self._outgoing.put(data)

    def receive(self):
        return next(self._call)

    def status(self):
        """Of a call that the other side ends."""
        with contextlib.suppress(StopIteration, grpc.RpcError):
            while True:
                next(self._call)
        return self._call.code(), self._call.details()

    def close(self):
        self._outgoing.put(None)


class Handler(grpc.GenericRpcHandler):
    """Serves every method with `serve(method, messages, context)`, a generator of bytes."""

    def __init__(self, serve):
        self._serve = serve

    def service(self, details):
        def run(messages, context):
            return self._serve(details.method, messages, context)

        return grpc.stream_stream_rpc_method_handler(run)


@contextlib.contextmanager
def serving(path, serve):
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(8), handlers=[Handler(serve)])
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()
