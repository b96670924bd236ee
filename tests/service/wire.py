"""Calls whose messages are bytes, as a program of another version makes and serves them (e2e/wire_format.py)."""

import contextlib
import queue

import grpc

ATTACH = "/nvcv_cached.v1.Session/Attach"


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
