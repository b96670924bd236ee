"""What NVCV 0.15 keeps under nvcv.cuda."""

from .. import internal
from .._core import Stream, as_stream

__all__ = ["Stream", "as_stream", "internal"]
