"""`python -m nvcv_cached`: where a C++ project finds the library that this package carries."""

import argparse
import sys
from pathlib import Path

from . import __version__


def cmake_folder() -> Path:
    return Path(__file__).parent / "lib" / "cmake" / "nvcv_cached"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m nvcv_cached", description=__doc__)
    parser.add_argument("--version", action="version", version=f"nvcv_cached {__version__}")
    parser.add_argument(
        "--cmake-dir",
        action="store_true",
        help="print the folder of the CMake files: cmake -Dnvcv_cached_DIR=$(python -m nvcv_cached --cmake-dir)",
    )
    if not parser.parse_args().cmake_dir:
        parser.print_help()
        return 0
    folder = cmake_folder()
    if not folder.is_dir():
        print(
            f"nvcv_cached: asked for the CMake files; found none in {folder}: this package was built against an "
            "installed library; do: look for nvcv_cached below the prefix of that installation",
            file=sys.stderr,
        )
        return 1
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
