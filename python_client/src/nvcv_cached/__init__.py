"""NVCV's types on memory that many processes borrow from one daemon: a hit makes no call and takes no lock.

Importing connects to nothing; the first object does, or `connect`. Names and behaviour are NVCV 0.19's, so that
`import nvcv_cached as cvcuda` runs what is written for cvcuda's containers; `nvcv_cached.compat` has the names of
0.15. Members of Format whose names do not begin with "_" are names of this module too, as in cvcuda.
"""

from typing import TYPE_CHECKING

from . import (
    _loading,  # noqa: F401 - before everything that is compiled
    internal,
)
from ._core import (
    ColorSpec,
    Container,
    Device,
    ExternalBuffer,
    ExternalCacheItem,
    Format,
    Image,
    ImageBatchVarShape,
    RectI,
    Resource,
    Stream,
    Tensor,
    TensorBatch,
    TensorLayout,
    ThreadScope,
    Type,
    as_image,
    as_images,
    as_stream,
    as_tensor,
    as_tensors,
    cache_size,
    clear_cache,
    connect,
    current_cache_size_inbytes,
    device,
    get_cache_limit_inbytes,
    reshape,
    set_cache_limit_inbytes,
    stats,
    version,
)
from ._reserve import reserve
from .errors import (
    DeadlineExceeded,
    DeviceError,
    Error,
    Forked,
    InvalidArgument,
    NotImplemented,
    OutOfMemory,
    Overflow,
    PermissionDenied,
    QuotaExceeded,
    Unavailable,
    Underflow,
    VersionMismatch,
)

__version__ = version()
del version

if TYPE_CHECKING:

    def __getattr__(name: str) -> Format: ...

else:
    globals().update({name: member for name, member in Format.__members__.items() if not name.startswith("_")})

__all__ = [
    "ColorSpec",
    "Container",
    "DeadlineExceeded",
    "Device",
    "DeviceError",
    "Error",
    "ExternalBuffer",
    "ExternalCacheItem",
    "Forked",
    "Format",
    "Image",
    "ImageBatchVarShape",
    "InvalidArgument",
    "NotImplemented",
    "OutOfMemory",
    "Overflow",
    "PermissionDenied",
    "QuotaExceeded",
    "RectI",
    "Resource",
    "Stream",
    "Tensor",
    "TensorBatch",
    "TensorLayout",
    "ThreadScope",
    "Type",
    "Unavailable",
    "Underflow",
    "VersionMismatch",
    "__version__",
    "as_image",
    "as_images",
    "as_stream",
    "as_tensor",
    "as_tensors",
    "cache_size",
    "clear_cache",
    "connect",
    "current_cache_size_inbytes",
    "device",
    "get_cache_limit_inbytes",
    "internal",
    "reserve",
    "reshape",
    "set_cache_limit_inbytes",
    "stats",
]
