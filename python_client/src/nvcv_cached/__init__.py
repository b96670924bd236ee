"""NVCV's types on memory that many processes borrow from one daemon: a hit makes no call and takes no lock.

Importing connects to nothing; the first object does, or `connect`. Names and behaviour are NVCV 0.19's.
"""

from . import (
    _loading,  # noqa: F401 - before everything that is compiled
    internal,
)
from ._core import (
    Device,
    ExternalBuffer,
    Stream,
    Tensor,
    TensorLayout,
    ThreadScope,
    Type,
    as_stream,
    cache_size,
    clear_cache,
    connect,
    current_cache_size_inbytes,
    device,
    get_cache_limit_inbytes,
    set_cache_limit_inbytes,
    stats,
    version,
)
from .errors import (
    DeadlineExceeded,
    DeviceError,
    Error,
    Forked,
    InvalidArgument,
    OutOfMemory,
    PermissionDenied,
    QuotaExceeded,
    Unavailable,
    VersionMismatch,
)

__version__ = version()
del version

__all__ = [
    "DeadlineExceeded",
    "Device",
    "DeviceError",
    "Error",
    "ExternalBuffer",
    "Forked",
    "InvalidArgument",
    "OutOfMemory",
    "PermissionDenied",
    "QuotaExceeded",
    "Stream",
    "Tensor",
    "TensorLayout",
    "ThreadScope",
    "Type",
    "Unavailable",
    "VersionMismatch",
    "__version__",
    "as_stream",
    "cache_size",
    "clear_cache",
    "connect",
    "current_cache_size_inbytes",
    "device",
    "get_cache_limit_inbytes",
    "internal",
    "set_cache_limit_inbytes",
    "stats",
]
