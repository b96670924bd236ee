"""Breaks each rule on purpose and shows that the test of its name fails: `make mutants`, or run.py [RULE...].

Each *.patch here breaks one rule in one small way. Its first lines say which, how, and who must see it:

    Rule: M2
    Breaks: the death of the process alone is taken as proof
    Test: tests/e2e/test_memory.py::test_M2_DeadProcessWithLivingForkKeepsItsMemory

Rules M, C and L are those of memory, cache and liveness. O1 to O5 are what an operator is promised: by the daemon (1),
nvcv-cachectl (2), statistics and metrics (3), clients and recipes (4), units, manifests and packages (5).
A test is pytest's, or a C++ program's: contract_test::ContractPoints.Limit0CachesNoMemory.
The tree is copied to a scratch folder and built there once; every patch then costs one incremental build.
A mutant is caught when its test passes on the unchanged tree and fails on the changed one. A patch that does
not apply or does not build is an error: it has to follow the code.
"""

import argparse
import contextlib
import filecmp
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = [f"{part}{i + 1}" for part, count in {"M": 5, "C": 10, "L": 4, "O": 5}.items() for i in range(count)]
TARGETS = [
    *("nvcv-cached", "nvcv-cachectl", "nvcv_cached"),
    *("e2e_probe", "e2e_liar", "contract_test", "contract_worker", "fake_cuda"),
]


@dataclass
class Mutant:
    path: Path
    rule: str
    breaks: str
    test: str


def read(path):
    fields = dict(line.split(": ", 1) for line in path.read_text().splitlines()[:3])
    return Mutant(path, fields["Rule"], fields["Breaks"], fields["Test"])


def copy_tree(source, target):
    """Copies what differs, so that an unchanged file is not built again, and removes what is gone."""

    def ignored(name):
        return name.startswith("build") or name in {".git", ".venv", "demo-out", "bench-out", "__pycache__"}

    target.mkdir(parents=True, exist_ok=True)
    names = {entry.name for entry in source.iterdir() if not ignored(entry.name)}
    for entry in target.iterdir():
        if entry.name not in names and not ignored(entry.name):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name in names:
        if (source / name).is_dir():
            copy_tree(source / name, target / name)
        elif not (target / name).exists() or not filecmp.cmp(source / name, target / name, shallow=False):
            shutil.copy(source / name, target / name)


class Workbench:
    def __init__(self, scratch):
        scratch.mkdir(parents=True, exist_ok=True)
        self.tree, self.build = scratch / "tree", scratch / "build"
        self.log = open(scratch / "build.log", "ab")

    def prepare(self):
        copy_tree(ROOT, self.tree)
        options = ["-DNVCV_CACHED_EXAMPLES=OFF", "-DCMAKE_BUILD_TYPE=Release"]
        self.command(["cmake", "-G", "Ninja", "-S", self.tree, "-B", self.build, *options])
        self.make()

    def command(self, command):
        subprocess.run(command, check=True, stdout=self.log, stderr=self.log)

    def make(self):
        self.command(["cmake", "--build", self.build, "--target", *TARGETS])

    @contextlib.contextmanager
    def patched(self, path):
        """The tree with the patch in it, and as it was afterwards, whatever happens."""
        names = [line.removeprefix("+++ b/") for line in path.read_text().splitlines() if line.startswith("+++ ")]
        before = {name: (self.tree / name).read_bytes() for name in names}
        try:
            self.command(["patch", "-p1", "--no-backup-if-mismatch", "-d", self.tree, "-i", path])
            yield
        finally:
            for name, text in before.items():
                (self.tree / name).write_bytes(text)

    def test(self, *names):
        """None when all pass, else what was said last."""
        said, folders = [], {}
        for name in names:
            if name.startswith("tests/"):
                folders.setdefault(Path(name).parts[1], []).append(name)
            else:
                said.append(self.run_program(*name.split("::")))
        said += [self.run_pytest(*tests) for tests in folders.values()]  # as in ctest: apart, for their conftest.py
        return next((output for output in said if output), None)

    def run_program(self, program, test):
        command = [self.build / "bin" / program, f"--gtest_filter={test}", "--gtest_brief=1"]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
        if "[  PASSED  ] 1 test" not in result.stdout and "[  FAILED  ]" not in result.stdout:
            raise RuntimeError(f"{program} {test} exited {result.returncode}: {result.stdout[-2000:]}{result.stderr}")
        return result.stdout if result.returncode else None

    def run_pytest(self, *names):
        environment = {
            **os.environ,
            "NVCV_CACHED_BIN": str(self.build / "bin"),
            "NVCV_CACHED_BUILD": str(self.build),
            "NVCV_CACHED_FAKE_CUDA": str(self.build / "fake_cuda"),
            "LD_LIBRARY_PATH": str(self.build / "lib"),  # before the library that the Python package was built for
            "NVCV_CACHED_TEST_CMAKE": shutil.which("cmake"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names],
            cwd=self.tree,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if result.returncode not in (0, 1):
            raise RuntimeError(f"pytest exited {result.returncode}: {result.stdout[-2000:]}{result.stderr}")
        return result.stdout if result.returncode else None


def applies(path):
    command = ["patch", "-p1", "--dry-run", "--silent", "--fuzz=0", "-d", ROOT, "-i", path]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def why(output):
    lines = output.splitlines()
    said = [line[1:].strip() for line in lines if line.startswith("E  ")]  # pytest's
    said += [line.strip() for line in lines if line.strip().startswith(("Expected", "Actual", "Which is"))]
    return said[0][:100] if said else "failed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rules", nargs="*", metavar="RULE", help="default: all")
    parser.add_argument("--apply", action="store_true", help="only see whether every patch still applies")
    parser.add_argument("--scratch", type=Path, default=ROOT / "build" / "mutants")
    arguments = parser.parse_args()

    mutants = [read(path) for path in sorted(Path(__file__).parent.glob("*.patch"))]
    if missing := [rule for rule in RULES if rule not in {mutant.rule for mutant in mutants}]:
        print(f"no mutant for {', '.join(missing)}")
    if arguments.rules:
        mutants = [mutant for mutant in mutants if mutant.rule in arguments.rules]
    mutants.sort(key=lambda mutant: RULES.index(mutant.rule))

    stale = [mutant.path.name for mutant in mutants if not applies(mutant.path)]
    if stale:
        sys.exit(f"these follow the code no more: {', '.join(stale)}")
    if arguments.apply:
        print(f"{len(mutants)} patches apply")
        sys.exit(1 if missing else 0)

    bench = Workbench(arguments.scratch)
    bench.prepare()
    if output := bench.test(*dict.fromkeys(mutant.test for mutant in mutants)):
        sys.exit(f"the unchanged tree fails:\n{output[-4000:]}")

    survivors = 0
    for mutant in mutants:
        begin = time.monotonic()
        with bench.patched(mutant.path):
            bench.make()
            output = bench.test(mutant.test)
        survivors += output is None
        said = f"caught: {why(output)}" if output else "SURVIVED"
        print(f"{mutant.rule:4} {mutant.breaks}\n     {mutant.test.rpartition('::')[2]} ", end="")
        print(f"{said} ({time.monotonic() - begin:.0f} s)", flush=True)
    print(f"{len(mutants) - survivors} of {len(mutants)} caught")
    sys.exit(1 if survivors or (missing and not arguments.rules) else 0)


if __name__ == "__main__":
    main()
