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


def run(command, environment, timeout=300):
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    assert result.returncode == 0, f"{command}: exit {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout
