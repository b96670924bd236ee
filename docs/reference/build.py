"""The API references: Doxygen of client/include, pdoc of the installed package (make docs).

python docs/reference/build.py [build/docs]

Anything that Doxygen warns of, an undocumented public name among it, is an error; so is an undocumented public class,
function or property of the Python package.
"""

import ast
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python_client" / "src" / "nvcv_cached"


def cpp(out: Path) -> list[str]:
    settings = (ROOT / "docs" / "reference" / "Doxyfile").read_text() + f"OUTPUT_DIRECTORY = {out}\n"
    result = subprocess.run(
        ["doxygen", "-"], input=settings, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    found = [line for line in result.stderr.splitlines() if line.strip()]
    return found or ([f"doxygen: exit {result.returncode}"] if result.returncode else [])


def undocumented(source: str, name: str) -> list[str]:
    """Public modules, classes, functions and properties without a docstring, of a module or a stub."""
    tree = ast.parse(source)
    found = [] if name.endswith(".pyi") or ast.get_docstring(tree) else [f"{name}: no docstring"]

    def look(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            public = not node.name.startswith("_") or node.name == "__init__"
            setter = any(isinstance(mark, ast.Attribute) and mark.attr == "setter" for mark in node.decorator_list)
            if public and not setter and not ast.get_docstring(node):
                found.append(f"{name}:{node.lineno}: {prefix}{node.name} has no docstring")
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{prefix}{node.name}.")

    look(tree.body, "")
    return found


def python(out: Path) -> list[str]:
    for library in ("cupy", "pickling", "rmm", "torch"):  # the pages of what is made for them need not have them
        sys.modules.setdefault(library, MagicMock())
    import pdoc

    pages = ["nvcv_cached", *(f"nvcv_cached.{name}" for name in ("compat", "cupy", "pickling", "rmm", "torch"))]
    pdoc.pdoc(*pages, output_directory=out / "python")
    sources = sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")])
    return [line for path in sources for line in undocumented(path.read_text(), str(path.relative_to(ROOT)))]


def main() -> int:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "docs").absolute()
    out.mkdir(parents=True, exist_ok=True)
    trouble = cpp(out) + python(out)
    print("\n".join(trouble) or f"{out}/cpp/index.html\n{out}/python/nvcv_cached.html")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
