"""The names of NVCV 0.15: `import nvcv_cached.compat as nvcv` runs container code written for its module `nvcv`.

Beside what nvcv_cached has: the submodule `cuda` with Stream and as_stream, and every member of Format as a name of
the module. Behaviour is that of 0.19 (docs/migrating.md).
"""

from .. import *  # noqa: F403
from .. import Format, __version__, internal
from . import cuda

globals().update(Format.__members__)

__all__ = ["__version__", "cuda", "internal"]
