"""What NVCV keeps under this name."""

from ._core import Stream, nbytes_in_cache

__all__ = ["drain_pending_releases", "nbytes_in_cache", "syncAuxStream"]


def syncAuxStream() -> None:  # noqa: N802 - NVCV's name
    """Waits for what the current stream has; the library has no work of its own to wait for."""
    Stream.current.sync()


def drain_pending_releases() -> None:
    """Nothing: releases wait for nothing, and finished work is seen without a call."""
