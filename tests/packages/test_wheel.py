"""The wheel: installed into an empty environment without a network, where the README's blocks run."""

import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from blocks import ROOT, blocks, promised, run, run_line
from conftest import bare_environment

# Of every Linux that the wheel's tag admits, by the rules of manylinux.
SYSTEM = re.compile(r"(ld-linux-x86-64|ld-linux-aarch64|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|z))\.so")


@pytest.fixture(scope="module")
def wheel(build, tmp_path_factory):
    """As `make wheel` makes it."""
    out = tmp_path_factory.mktemp("dist")
    made = subprocess.run(
        [sys.executable, ROOT / "deploy" / "wheel" / "make_wheel.py", "--build", build, "--out", out],
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return next(out.glob("*.whl"))


def wheel_of(name, folder):
    """An installed distribution as the wheel that it came from: the files of its record but what pip writes."""
    found = distribution(name)
    tag = re.search(r"^Tag: (\S+)$", found.read_text("WHEEL"), re.MULTILINE).group(1)
    path = folder / f"{name}-{found.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in found.files:
            if not str(file).startswith("..") and file.suffix != ".pyc" and file.name not in ("INSTALLER", "REQUESTED"):
                archive.write(file.locate(), str(file))
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An environment in which pip found the wheel and what it depends on in one folder, and nothing anywhere else."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    wheel_of("numpy", wheel.parent)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    install = [*pip, "install", "--quiet", "--no-index", "--find-links", wheel.parent, "nvcv-cached"]
    found = subprocess.run(install, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return folder


def test_DependsOnNumpyAlone_AndIsTaggedForItsGlibc(wheel):
    assert re.search(r"-manylinux_2_3[4-6]_(x86_64|aarch64)\.whl$", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        assert re.findall(r"^Requires-Dist: (.*)$", archive.read(metadata).decode(), re.MULTILINE) == ["numpy"]


def test_CarriesWhatItNeedsUnderPrivateNames_AndNothingOfCuda(environment):
    packages = next((environment / "lib").glob("python3.*/site-packages"))
    package, carried = packages / "nvcv_cached", packages / "nvcv_cached.libs"
    names = {path.name for path in carried.iterdir()}
    assert all(re.search(r"-[0-9a-f]{8}\.so\.", name) for name in names)
    for path in [
        *package.glob("_core*.so"),
        *package.glob("bin/*"),
        package / "lib" / "libnvcv_cached.so.0",
        *carried.iterdir(),
    ]:
        needed = re.findall(r"NEEDED\s+(\S+)", run(["objdump", "-p", path], None))
        foreign = [name for name in needed if not SYSTEM.match(name)]
        assert set(foreign) <= names | {"libnvcv_cached.so.0"}, path
        assert not any("cuda" in name or "nvidia" in name for name in needed), path


def test_CarriesTheNoticesOfWhatItCarries(environment):
    notices = next((environment / "lib").glob("python3.*/site-packages/nvcv_cached-*.dist-info/licenses"))
    texts = [path.read_text() for path in notices.iterdir()]
    for path in (notices.parents[1] / "nvcv_cached.libs").iterdir():
        stem = re.sub(r"-[0-9a-f]{8}\.so\..*", "", path.name)
        assert any(f"{stem}.so" in text.split("\n")[0] for text in texts), path
    assert any("Apache License" in text for text in texts)


def test_HasTypesForCheckers(environment):
    package = next((environment / "lib").glob("python3.*/site-packages/nvcv_cached"))
    assert (package / "py.typed").exists()
    assert (package / "_core.pyi").exists()


def test_TheReadmesBlocksRunThere(environment, runtime, tmp_path):
    """Python by its path, with nothing of ours on PATH: the library finds the daemon that came with it."""
    alone = bare_environment(runtime)
    programs = bare_environment(runtime, environment / "bin")
    try:
        for text in blocks("python"):
            script = tmp_path / "reader.py"
            script.write_text(text)
            words = promised(text, "#")
            assert run([environment / "bin" / "python", script], alone).split()[: len(words)] == words
        daemon = run(["nvcv-cachectl", "status", "--no-headers"], programs)
        assert daemon.startswith("host")
        for text in blocks("sh"):
            for line in text.splitlines():
                run_line(line, programs, tmp_path)
    finally:
        run(["nvcv-cachectl", "stop"], programs)


def test_ACppProjectBuildsAgainstIt(environment, runtime, consume):
    folder = Path(
        run([environment / "bin" / "python", "-m", "nvcv_cached", "--cmake-dir"], bare_environment(runtime)).strip()
    )
    assert "999 hits" in consume(folder.parents[2], f"-Dnvcv_cached_DIR={folder}")


def test_BothProgramsAreOnPath(environment, runtime):
    path = bare_environment(runtime, environment / "bin")
    found = next((environment / "lib").glob("python3.*/site-packages/nvcv_cached-*.dist-info")).name
    assert run(["nvcv-cached", "--version"], path).startswith(
        f"nvcv-cached {found.split('-')[1].removesuffix('.dist')},"
    )
    assert run(["nvcv-cachectl", "--help"], path).startswith("Looks at nvcv-cached daemons")
