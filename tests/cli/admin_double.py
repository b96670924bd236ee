"""What answers GetStats as a daemon would: of another version, another device, another pid than there is to be had here.

The answers are encoded by hand (admin.proto's field numbers): the tests have no generated messages.
"""

import contextlib
from concurrent import futures

import grpc
from wire_format import field

SERVING, FAILED = 1, 3


def stats(
    version="0.1.0", protocol=1, pid=4711, state=SERVING, kind="host", total=1 << 34, free=1 << 33, capacity=1 << 33
):
    device = field(1, kind) + field(2, "host" if kind == "host" else "GPU-11112222-aaaa") + field(5, total)
    return (
        field(2, version)
        + field(3, protocol)
        + field(4, pid)
        + field(5, state)
        + field(8, device)
        + field(27, capacity)
        + field(30, free)
    )


@contextlib.contextmanager
def admin_double(socket, **answer):
    def get_stats(request, context):
        return stats(**answer)

    service = grpc.method_handlers_generic_handler(
        "nvcv_cached.v1.Admin", {"GetStats": grpc.unary_unary_rpc_method_handler(get_stats)}
    )
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[service])
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait(10)
