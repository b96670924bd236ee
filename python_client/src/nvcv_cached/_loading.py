"""Loads the extension so that it finds its own libraries first.

Others load their gRPC, protobuf and Abseil for everybody to see (TensorFlow does), in other versions under the same
names: bound to those, ours would crash.
"""

import os
import sys

_flags = sys.getdlopenflags()
sys.setdlopenflags(_flags | os.RTLD_DEEPBIND)
try:
    from . import _core  # noqa: F401
finally:
    sys.setdlopenflags(_flags)
