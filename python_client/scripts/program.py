#!python
"""Runs the program of this file's name that the package carries; becomes it."""

import importlib.util
import os
import sys

package = importlib.util.find_spec("nvcv_cached")  # found, not imported
program = os.path.join(os.path.dirname(package.origin), "bin", os.path.basename(sys.argv[0]))
os.execv(program, [program, *sys.argv[1:]])
