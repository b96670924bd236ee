"""The API references: Doxygen of client/include, pdoc of the Python package and its stubs (make docs).

python docs/reference/build.py [build/docs]

Anything that Doxygen warns of, an undocumented public name among it, is an error; so is an undocumented public class,
function or property of the Python package.
"""

import ast
import re
import shutil
import subprocess
import sys
import tempfile
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


def readable(stub: str) -> str:
    """A module that pdoc can import, of the extension's stub: overloads become one function with all their texts."""
    tree = ast.parse("from __future__ import annotations\n" + stub)

    def merge(body: list[ast.stmt]) -> list[ast.stmt]:
        texts: dict[str, str] = {}
        kept: dict[object, ast.stmt] = {}
        for node in body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("__") and node.name != "__init__":
                continue
            if isinstance(node, ast.ClassDef):
                node.body = merge(node.body)
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "__members__":
                node.value = ast.Dict([], [])
            overloaded = isinstance(node, ast.FunctionDef) and any(
                isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list
            )
            if not overloaded:
                kept[node] = node
                continue
            node.decorator_list = []
            call = ast.unparse(node).split("\n")[0].removeprefix("def ").removesuffix(":")
            texts[node.name] = f"{texts.get(node.name, '')}`{call}`\n\n{ast.get_docstring(node)}\n\n"
            node.body[0] = ast.Expr(ast.Constant(texts[node.name]))
            kept[node.name] = node
        return list(kept.values())

    tree.body = merge(tree.body)
    return ast.unparse(ast.fix_missing_locations(tree))


def python(out: Path) -> list[str]:
    import pdoc
    import pdoc.render

    for library in ("cupy", "rmm", "torch"):  # the pages of what is made for them need not have them
        sys.modules.setdefault(library, MagicMock())
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "nvcv_cached"
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("*.pyi", "*.so", "__pycache__"))
        (package / "_core.py").write_text(readable((PACKAGE / "_core.pyi").read_text()))
        sys.path.insert(0, folder)
        pdoc.render.configure(show_source=False)
        pages = ["nvcv_cached", *(f"nvcv_cached.{name}" for name in ("compat", "cupy", "pickling", "rmm", "torch"))]
        pdoc.pdoc(*pages, output_directory=out / "python")
    public = re.compile(r"__init__.py|_core.pyi|[a-z]\w*.py")
    sources = sorted(path for path in PACKAGE.rglob("*.py*") if public.fullmatch(path.name))
    return [line for path in sources for line in undocumented(path.read_text(), str(path.relative_to(ROOT)))]


def main() -> int:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "docs").absolute()
    out.mkdir(parents=True, exist_ok=True)
    trouble = cpp(out) + python(out)
    print("\n".join(trouble) or f"{out}/cpp/index.html\n{out}/python/nvcv_cached.html")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
