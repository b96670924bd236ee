"""RMM's memory from the daemon: rmm.mr.set_current_device_resource(nvcv_cached.rmm.resource())."""

from typing import Any

import rmm

from ._core import allocate, free


def _handle(stream: Any) -> int:
    """Of RMM's Stream in its several forms; none is the legacy default stream."""
    if stream is None:
        return 0
    if hasattr(stream, "__cuda_stream__"):
        handle: int = stream.__cuda_stream__()[1]
        return handle
    value = getattr(stream, "value", stream)
    return int(value() if callable(value) else value)


def _allocate(size_bytes: int, stream: Any = None) -> int:
    return allocate(size_bytes, -1, _handle(stream))


def _free(pointer: int, _size_bytes: int, stream: Any = None) -> None:
    free(pointer, -1, _handle(stream))


def resource() -> Any:
    """A rmm.mr.DeviceMemoryResource of the calling thread's device."""
    return rmm.mr.CallbackMemoryResource(_allocate, _free)
