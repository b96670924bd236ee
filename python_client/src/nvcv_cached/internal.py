"""What NVCV keeps under this name."""

from ._core import nbytes_in_cache

__all__ = ["nbytes_in_cache"]
