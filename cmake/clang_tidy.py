#!/usr/bin/env python3
"""Runs clang-tidy over the sources of a build, in parallel, and only over what changed since they were clean.

    cmake/clang_tidy.py BUILD [--jobs N] [PATH...]     PATH: only sources below it

A file is clean until its command, .clang-tidy, the tool, or a file of this tree that it includes has changed:
BUILD/clang-tidy keeps a digest of these for each. clang-tidy alone would go over a source as often as it is compiled
(the client's hot path is, twice). What is generated or Python's is left out.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def read_commands(build):
    """{source: its first entry in compile_commands.json}, of the sources in git."""
    listed = subprocess.run(["git", "ls-files", "*.cc"], cwd=ROOT, check=True, capture_output=True, text=True)
    sources = {str(ROOT / name) for name in listed.stdout.split()}
    entries = json.loads((build / "compile_commands.json").read_text())
    return {entry["file"]: entry for entry in reversed(entries) if entry["file"] in sources}


def read_dependencies(build):
    """{object: the files that it was compiled from}, as ninja knows them."""
    known, files = {}, []
    said = subprocess.run(["ninja", "-C", build, "-t", "deps"], check=True, capture_output=True, text=True)
    for line in said.stdout.splitlines():
        if line.startswith("    "):
            files.append((build / line.strip()).resolve())
        elif ": #deps" in line:
            files = known.setdefault(line.split(": #deps")[0], [])
    return known


class Tidy:
    def __init__(self, build, checks):
        self.build = build
        self.checks = checks
        self.state = build / "clang-tidy"
        self.state.mkdir(exist_ok=True)
        self.dependencies = read_dependencies(build)
        self.version = subprocess.run(["clang-tidy", "--version"], check=True, capture_output=True).stdout
        # clang-tidy reads the commands from here: one for each source.
        self.commands = read_commands(build)
        (self.state / "compile_commands.json").write_text(json.dumps(list(self.commands.values())))

    def digest(self, source):
        """None for a source that is not built yet: what it includes is unknown."""
        words = self.commands[source]["command"].split()
        files = self.dependencies.get(words[words.index("-o") + 1])
        if files is None:
            return None
        whole = hashlib.sha256(self.version + self.commands[source]["command"].encode())
        settings = [parent / ".clang-tidy" for parent in Path(source).parents if parent.is_relative_to(ROOT)]
        for path in [*settings, *(file for file in files if file.is_relative_to(ROOT))]:
            whole.update(path.read_bytes() if path.exists() else b"")
        return whole.hexdigest()

    def stamp(self, source):
        return self.state / Path(source).relative_to(ROOT).as_posix().replace("/", ".")

    def is_clean(self, source):
        stamp = self.stamp(source)
        return stamp.exists() and stamp.read_text() == self.digest(source)

    def check(self, source):
        """What clang-tidy finds, or nothing."""
        digest = self.digest(source)
        command = ["clang-tidy", "-quiet", "-p", self.state, *self.checks, source]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
        if result.returncode == 0 and not result.stdout and digest and not self.checks:
            self.stamp(source).write_text(digest)
        return result.stdout or (result.stderr if result.returncode else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--checks", help="other checks than .clang-tidy's; remembers nothing")
    arguments = parser.parse_args()
    tidy = Tidy(arguments.build.resolve(), [f"-checks={arguments.checks}"] if arguments.checks else [])

    def wanted(source):
        below = [Path(source).is_relative_to(path.resolve()) for path in arguments.paths]
        return (any(below) or not below) and (arguments.checks or not tidy.is_clean(source))

    sources = [source for source in sorted(tidy.commands) if wanted(source)]
    print(f"clang-tidy: {len(sources)} of {len(tidy.commands)} sources to look at", flush=True)
    found = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for output in pool.map(tidy.check, sources):
            found += bool(output)
            print(output, end="", flush=True)
    sys.exit(f"clang-tidy: findings in {found} sources" if found else 0)


if __name__ == "__main__":
    main()
