"""Which shared objects a program needs, and which of them have to travel with it."""

import re
import subprocess
from pathlib import Path

# Of glibc: must be the machine's own, as its loader is.
GLIBC = re.compile(r"^(ld-linux|lib(c|m|dl|rt|pthread|resolv|util|anl|mvec|nsl|BrokenLocale|thread_db|nss_\w+)\.so)")
# Of the compiler: the machine's own serves, for programs that are built there need it as new as their compiler.
COMPILER = re.compile(r"^lib(stdc\+\+|gcc_s)\.so")


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def needed_by(path):
    """Name and place of the shared objects that the loader would map."""
    for line in run("ldd", path).splitlines():
        found = re.match(r"\s*(\S+) => (/\S+)", line)
        if found:
            yield found.group(1), Path(found.group(2))
        elif "not found" in line:
            raise SystemExit(f"{path}: {line.strip()}")


def carried_by(files):
    """Place by name of what `files` need and no machine has for sure; they themselves are not in it."""
    own = {path.name for path in files}
    return {
        name: place.resolve()
        for path in files
        for name, place in needed_by(path)
        if name not in own and not GLIBC.match(name) and not COMPILER.match(name)
    }
