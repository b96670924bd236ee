"""Writes src/nvcv_cached/_core.pyi from the installed extension; with --check, only compares (make stubs).

python stubs.py [--check]
"""

import difflib
import pathlib
import re
import sys

import nvcv_cached._core
from nanobind.stubgen import StubGen

TARGET = pathlib.Path(__file__).parent / "src" / "nvcv_cached" / "_core.pyi"


def generated() -> str:
    generator = StubGen(module=nvcv_cached._core, include_private=True, quiet=True)
    generator.put(nvcv_cached._core)
    # A static property without a docstring of its own gets its signature for one.
    return re.sub(r'\n    """fixed\(self, /\) -> [\w.]+"""\n\n(?=    \w)', "\n", generator.get())


def main() -> int:
    text = generated()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
        return 0
    difference = list(
        difflib.unified_diff(TARGET.read_text().splitlines(), text.splitlines(), "committed", "generated")
    )
    print("\n".join(difference))
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
