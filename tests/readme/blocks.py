"""The README's blocks of code, and what they promise to print."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for found, text in BLOCK.findall((ROOT / "README.md").read_text()) if found == language]


def promised(text, mark):
    """The start of the output that the last comment of a program shows."""
    return re.findall(rf"{mark} (\d.*)$", text, re.MULTILINE)[-1].removesuffix("...").split()


def run_line(line, environment, folder):
    """One line of a shell block: it prints something or leaves a file in `folder`, where it runs."""
    before = set(folder.iterdir())
    said = run(["sh", "-ec", line], environment, cwd=folder)
    assert said or set(folder.iterdir()) - before, f"{line}: no output and no file"


def run(command, environment, timeout=300, cwd=None):
    result = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=timeout)
    assert result.returncode == 0, f"{command}: exit {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout
