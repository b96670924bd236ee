#!/usr/bin/env python3
"""Runs the GPU's tests and benchmarks of this bundle and writes what came out.

    bundle/run-tests [--out DIR] [--only STEP,...] [--skip STEP,...] [--list]

In DIR (gpu-results): results.json, summary.md and the log of each step. Exit: 0 nothing failed; 1 something did.
Without a GPU the tests are skipped and say why. Needs Python 3.10 and, for the steps with Python in them, pytest; the
extension is built here, which needs a C++ compiler, CMake, nanobind and scikit-build-core.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

BUNDLE = Path(__file__).resolve().parent
SOURCES = BUNDLE / "src"
TOLD = {"passed", "failed", "skipped"}


class Bench:
    """The place of one run: where results go, and with what the steps run."""

    def __init__(self, out):
        self.out = out.resolve()
        self.site = self.out / "site"
        (self.out / "logs").mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            "NVCV_CACHED_BIN": str(BUNDLE / "bin"),
            "NVCV_CACHED_BUILD": str(BUNDLE),
            "NVCV_CACHED_BUNDLE": str(BUNDLE),
            "PYTHONPATH": os.pathsep.join([str(self.site), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        if self.lacks_libstdcxx():
            own = BUNDLE / "lib" / "compiler"
            self.environment["LD_LIBRARY_PATH"] = f"{own}:{os.environ.get('LD_LIBRARY_PATH', '')}"

    def lacks_libstdcxx(self):
        tried = subprocess.run([BUNDLE / "bin" / "nvcv-cached", "--version"], capture_output=True, text=True)
        return tried.returncode != 0 and ("GLIBCXX" in tried.stderr or "libstdc++" in tried.stderr)

    def execute(self, name, command, timeout):
        """Exit code (None: it ran out of time), and the log's path."""
        log = self.out / "logs" / f"{name}.log"
        with open(log, "ab") as stream:
            stream.write(f"$ {' '.join(map(str, command))}\n".encode())
            stream.flush()
            try:
                done = subprocess.run(
                    list(map(str, command)),
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    timeout=timeout,
                    env=self.environment,
                    cwd=self.out,
                )
                return done.returncode, log
            except subprocess.TimeoutExpired:
                stream.write(f"\nstopped after {timeout} s\n".encode())
                return None, log


def verdict(code, counts, **more):
    if code is None:
        return {"status": "failed", "why": "out of time", **counts, **more}
    if code != 0 or counts.get("failed"):
        return {"status": "failed", "why": f"exit {code}", **counts, **more}
    status = "skipped" if counts and not counts.get("passed") else "passed"
    return {"status": status, **counts, **more}


def gtest(bench, name, program, *flags, timeout=300, prefix=()):
    report = bench.out / f"{name}.gtest.json"
    report.unlink(missing_ok=True)
    code, log = bench.execute(name, [*prefix, program, f"--gtest_output=json:{report}", *flags], timeout)
    counts = dict.fromkeys(sorted(TOLD), 0)
    failures, reasons = [], set()
    if report.exists():
        for suite in json.loads(report.read_text())["testsuites"]:
            for case in suite["testsuite"]:
                if case.get("failures"):
                    counts["failed"] += 1
                    failures.append(f"{suite['name']}.{case['name']}")
                elif case["result"] == "SKIPPED":
                    counts["skipped"] += 1
                else:
                    counts["passed"] += 1
    if counts["skipped"]:  # the report does not say why
        reasons.update(re.findall(r": Skipped\n(.+)", log.read_text(errors="replace")))
    return verdict(code, counts, failures=failures, reasons=sorted(reasons), log=log.name)


def pytest(bench, name, *folders, timeout=600, flags=()):
    found = [folder for folder in folders if folder.exists()]
    if not found:
        return {"status": "skipped", "why": "not in this bundle"}
    if subprocess.run([sys.executable, "-c", "import pytest"], capture_output=True).returncode != 0:
        return {"status": "skipped", "why": "no pytest here"}
    report = bench.out / f"{name}.junit.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
        "-rA",
        *flags,
        *found,
    ]
    code, log = bench.execute(name, command, timeout)
    counts = dict.fromkeys(sorted(TOLD), 0)
    failures, reasons = [], set()
    if report.exists():
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            outcome = {child.tag: child for child in case}
            if "failure" in outcome or "error" in outcome:
                counts["failed"] += 1
                failures.append(f"{case.get('classname')}::{case.get('name')}")
            elif "skipped" in outcome:
                counts["skipped"] += 1
                reasons.add(outcome["skipped"].get("message", ""))
            else:
                counts["passed"] += 1
    return verdict(code, counts, failures=failures, reasons=sorted(reasons), log=log.name)


# ---- the steps, in order


def step_device(bench):
    """The device conformance suite, on the GPU alone."""
    return gtest(bench, "device", BUNDLE / "bin" / "device_test", "--gtest_filter=*/cuda:Cuda*")


def step_server(bench):
    """The daemon: choosing a GPU, refusing, leaving."""
    return pytest(bench, "server", SOURCES / "tests" / "gpu" / "server")


def step_cxx(bench):
    """C++ clients on the GPU: every gpu_*_test."""
    programs = sorted((BUNDLE / "bin").glob("gpu_*_test"))
    results = {program.name: gtest(bench, program.name, program) for program in programs}
    return together(results)


def step_extension(bench):
    """Builds the Python extension against this bundle."""
    bench.environment["CMAKE_PREFIX_PATH"] = str(BUNDLE)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-build-isolation"]
    command += ["--no-deps", "--no-index", "--upgrade", "--target", bench.site, SOURCES / "python_client"]
    code, log = bench.execute("extension", command, 400)
    return verdict(code, {}, log=log.name)


def step_python(bench):
    """Python clients on the GPU, and what they hand to torch, CuPy and others."""
    return pytest(bench, "python", SOURCES / "tests" / "gpu" / "python")


def step_objects(bench):
    """The object suite, with every daemon and object on the GPU: the same tests that the host runs."""
    suite = set((SOURCES / "tests" / "python").glob("test_*.py"))
    suite = sorted(path for path in suite if path.stem not in {"test_stubs", "test_coexistence"})
    bench.environment["NVCV_CACHED_TEST_DEVICE"] = "cuda:0"
    try:
        return pytest(bench, "objects", *suite)
    finally:
        del bench.environment["NVCV_CACHED_TEST_DEVICE"]


def step_sanitizer(bench):
    """The device suite and the C++ tests once more, under compute-sanitizer."""
    sanitizer = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if sanitizer is None:
        return {"status": "skipped", "why": "no compute-sanitizer here"}
    prefix = [sanitizer, "--tool=memcheck", "--error-exitcode=99"]
    results = {
        program.name: gtest(bench, f"sanitizer-{program.name}", program, *flags, prefix=prefix)
        for program, *flags in [
            (BUNDLE / "bin" / "device_test", "--gtest_filter=*/cuda:CudaDevice*-*C8_*"),  # without what is to fail
            *((program,) for program in sorted((BUNDLE / "bin").glob("gpu_*_test"))),
        ]
    }
    return together(results)


def step_readme(bench):
    """Every block of the README that is a program or a command, on the GPU."""
    return pytest(bench, "readme", SOURCES / "tests" / "readme", flags=["-k", "cpp or python or sh"])


def step_demo(bench):
    """The demo: four processes on the GPU, every result compared bit by bit with NumPy."""
    needs = [sys.executable, "-c", "import PIL, matplotlib, rich, skimage"]
    if subprocess.run(needs, capture_output=True).returncode != 0:
        return {"status": "skipped", "why": "it needs Pillow, matplotlib, rich and scikit-image"}
    command = [sys.executable, SOURCES / "examples" / "demo", "--device", "cuda:0", "--out", bench.out / "demo"]
    code, log = bench.execute("demo", command, 300)
    said = re.search(r"^device .*\Z", log.read_text(errors="replace"), re.DOTALL | re.MULTILINE)
    return verdict(code, {}, log=log.name, said=said.group().splitlines() if said else [])


def step_bench(bench):
    """The benchmarks beside what users have today; table, JSON and pictures in bench/."""
    out = bench.out / "bench"
    code, log = bench.execute(
        "bench", [sys.executable, SOURCES / "bench" / "run.py", "--device", "cuda:0", "--out", out], 400
    )
    result = verdict(code, {}, log=log.name)
    if (out / "results.json").exists():  # also of what was stopped in the middle
        result["measured"] = json.loads((out / "results.json").read_text())
        result["pictures"] = sorted(path.name for path in out.glob("*.png"))
    return result


def together(results):
    """One result of several."""
    if not results:
        return {"status": "skipped", "why": "not in this bundle"}
    statuses = {result["status"] for result in results.values()}
    status = "failed" if "failed" in statuses else "passed" if "passed" in statuses else "skipped"
    counts = {key: sum(result.get(key, 0) for result in results.values()) for key in sorted(TOLD)}
    return {"status": status, **counts, "parts": results}


STEPS = {name.removeprefix("step_"): step for name, step in list(globals().items()) if name.startswith("step_")}


# ---- what is written


def machine():
    facts = {"kernel": platform.release(), "glibc": platform.libc_ver()[1], "python": platform.python_version()}
    facts["cpus"] = os.cpu_count()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            facts["cpu"] = line.split(":", 1)[1].strip()
            break
    fields = "index,name,uuid,driver_version,memory.total,compute_mode,mig.mode.current"
    try:
        asked = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"], capture_output=True, text=True, timeout=30
        )
        facts["gpus"] = [line.strip() for line in asked.stdout.splitlines()]
    except (OSError, subprocess.TimeoutExpired) as error:
        facts["gpus"] = []
        facts["no_gpu"] = str(error)
    return facts


def summary(results):
    lines = [f"# GPU tests of commit {results['commit']}", ""]
    lines += [f"`{results['command']}`, {results['date']}, {results['seconds']:.0f} s", ""]
    lines += [f"- {key}: {value}" for key, value in results["machine"].items()]
    lines += [
        "",
        "| step | status | passed | failed | skipped | seconds | remarks |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, step in results["steps"].items():
        parts = step.get("parts", {}).values()
        remarks = [step.get("why", ""), *step.get("failures", []), *step.get("reasons", [])]
        for part in parts:
            remarks += [part.get("why", ""), *part.get("failures", []), *part.get("reasons", [])]
        text = "; ".join(dict.fromkeys(remark.replace("\n", " ")[:160] for remark in remarks if remark))
        counts = " | ".join(str(step.get(key, "-")) for key in ("passed", "failed", "skipped"))
        lines.append(f"| {name} | {step['status']} | {counts} | {step['seconds']:.1f} | {text} |")
    if pictures := results["steps"].get("bench", {}).get("pictures"):
        lines += ["", *(f"![{name.removesuffix('-gpu.png')}]({name})" for name in pictures)]
    if said := results["steps"].get("demo", {}).get("said"):
        lines += ["", "```text", *said, "```"]
    lines += measured(results["steps"].get("bench", {}).get("measured", {}).get("rows", []))
    return "\n".join(lines) + "\n"


def measured(rows):
    """What the benchmarks found: beside what, and against which budget."""
    if not rows:
        return []
    sys.path.append(str(SOURCES / "bench"))
    from report import figure

    missed = [row["name"] for row in rows if row["verdict"] == "MISSED"]
    lines = ["", f"Budgets missed: {'; '.join(missed) or 'none'}", ""]
    lines += ["| measured | ours | beside | ratio | budget | |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        peer, unit = row["peer"], row["unit"]
        allowed = [f"{figure(row['budget'])} {unit}"] if row["budget"] is not None else []
        allowed += [f"{row['budget_ratio']:.3g} x"] if row["budget_ratio"] is not None else []
        cells = [
            row["name"],
            f"{figure(row['value'])} {unit}",
            f"{peer['name']} {figure(peer['value'])} {unit}" if peer else "-",
        ]
        cells += [f"{row['ratio']:.3g}" if peer else "-", ", ".join(allowed) or "-", row["verdict"] or ""]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--only", default="")
    parser.add_argument("--skip", default="")
    parser.add_argument("--list", action="store_true", help="the steps, and exit")
    arguments = parser.parse_args()
    if arguments.list:
        for name, step in STEPS.items():
            print(f"{name:10} {step.__doc__}")
        return 0
    only, skip = (set(filter(None, text.split(","))) for text in (arguments.only, arguments.skip))
    if unknown := (only | skip) - set(STEPS):
        parser.error(f"no step {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    bench = Bench(arguments.out)
    begin = time.monotonic()
    results = {
        "commit": (BUNDLE / "COMMIT").read_text().strip(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join(["bundle/run-tests", *sys.argv[1:]]),
        "machine": machine(),
        "steps": {},
    }
    for name, step in STEPS.items():
        if (only and name not in only) or name in skip:
            continue
        started = time.monotonic()
        print(f"{name}: ", end="", flush=True)
        result = step(bench)
        result["seconds"] = round(time.monotonic() - started, 2)
        results["steps"][name] = result
        print(f"{result['status']} in {result['seconds']:.1f} s", result.get("why", ""), flush=True)
        # After each step, for whoever is stopped in the middle.
        results["seconds"] = time.monotonic() - begin
        (bench.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (bench.out / "summary.md").write_text(summary(results))
    print((bench.out / "summary.md").read_text())
    return 1 if any(step["status"] == "failed" for step in results["steps"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
