"""What goes wrong, as one family; each class is also the builtin that a caller would catch.

`code` is the error's name in capitals, `hint` what to do about it (part of the text too).
"""


class Error(RuntimeError):
    """Of nvcv_cached; with code INTERNAL, a bug in it."""

    code: str = "INTERNAL"
    hint: str = ""


class InvalidArgument(Error, ValueError):
    """The call itself is wrong: shapes, types, sizes, unknown layouts."""

    code = "INVALID_ARGUMENT"


class OutOfMemory(Error, MemoryError):
    """No memory within the deadline; the text names the holders."""

    code = "OUT_OF_MEMORY"


class QuotaExceeded(Error, MemoryError):
    """This session's quota."""

    code = "QUOTA_EXCEEDED"


class Unavailable(Error, ConnectionError):
    """No daemon, or it went away; tensors you hold stay valid."""

    code = "UNAVAILABLE"


class DeadlineExceeded(Error, TimeoutError):
    """The daemon is there and does not answer."""

    code = "DEADLINE_EXCEEDED"


class PermissionDenied(Error, PermissionError):
    """Socket, group, uid."""

    code = "PERMISSION_DENIED"


class VersionMismatch(Error):
    """No protocol version in common with the daemon."""

    code = "VERSION_MISMATCH"


class DeviceError(Error):
    """The driver's own words."""

    code = "DEVICE_ERROR"


class Forked(Error):
    """Made before fork(), used in the child."""

    code = "FORKED"


class Overflow(Error):
    """More than a batch's capacity."""

    code = "OVERFLOW"


class Underflow(Error):
    """More popped than a batch holds."""

    code = "UNDERFLOW"


class NotImplemented(Error, NotImplementedError):
    """A format that has no memory here, or sub-sampled where planes must be alike."""

    code = "NOT_IMPLEMENTED"
