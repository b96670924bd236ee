"""The house style, where looking is cheap; `make lint` goes on with clang-tidy and mypy."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent


def sources(*patterns):
    listed = subprocess.run(["git", "ls-files", *patterns], check=False, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: what belongs to the tree is unknown")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def check(*command):
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_clangFormat_HasNothingToChange():
    check(TOOLS / "clang-format", "--dry-run", "-Werror", *sources("*.cc", "*.h"))


def test_ruff_HasNothingToSay():
    check(TOOLS / "ruff", "check", "--no-cache", ".")
    check(TOOLS / "ruff", "format", "--no-cache", "--check", ".")


def test_comments_KeepTheColumnsToo():
    """clang-format leaves comments alone here."""
    columns = int((ROOT / ".clang-format").read_text().split("ColumnLimit:")[1].split()[0])
    wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources("bench/*.cc", "bench/*.h", "tests/*.cc", "tests/*.h")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > columns
    ]
    assert wide == []
