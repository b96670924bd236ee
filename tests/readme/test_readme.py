"""Every block of the README works as written, in the order of a newcomer.

Extracted and run: `cpp` (built against an install tree by find_package and by pkg-config), `python`, `sh`.
A block without a language holds commands of git and make, which CI runs. What a
program's last comment promises ("// 999 hits, ...") is what it must print. No daemon is started here: the
first program finds none and starts one. They run on the host, and in the GPU bundle on the GPU.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from blocks import ROOT, blocks, promised, run, run_line

BUILD = Path(os.environ.get("NVCV_CACHED_BUILD", ROOT / "build"))
BUNDLE = os.environ.get("NVCV_CACHED_BUNDLE")  # an install tree already


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    if BUNDLE:
        return Path(BUNDLE)
    prefix = tmp_path_factory.mktemp("stage")
    subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
    return prefix


@pytest.fixture(scope="module")
def environment(stage):
    """A user's environment with the programs on PATH and a runtime directory without a daemon."""
    runtime = Path(tempfile.mkdtemp(prefix="nvcv-readme-"))
    made = {k: v for k, v in os.environ.items() if not k.startswith("NVCV_CACHED_")}
    if not BUNDLE:
        made["CUDA_VISIBLE_DEVICES"] = ""  # one device for all blocks: the host
    made["PATH"] = f"{stage}/bin:{made['PATH']}"
    made["XDG_RUNTIME_DIR"] = str(runtime)
    made["XDG_CONFIG_HOME"] = str(runtime)
    yield made
    found = subprocess.run(["nvcv-cachectl", "stop"], env=made, check=False, capture_output=True, timeout=60)
    if found.returncode not in (0, 4):
        for lock in runtime.rglob("*.lock"):
            pid = lock.read_text().split()[:1]
            if pid and pid[0].isdigit():
                os.kill(int(pid[0]), signal.SIGKILL)
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.mark.parametrize("how", ["find_package", "pkg-config"])
@pytest.mark.parametrize("text", blocks("cpp"))
def test_readme_cpp(stage, environment, tmp_path, text, how):
    source = tmp_path / "main.cc"
    source.write_text(text)
    program = tmp_path / "build" / "main"
    if how == "find_package":
        (tmp_path / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.16)\nproject(reader CXX)\n"
            "find_package(nvcv_cached CONFIG REQUIRED)\nadd_executable(main main.cc)\n"
            "set_target_properties(main PROPERTIES CXX_STANDARD 17 CXX_EXTENSIONS OFF)\n"
            "target_link_libraries(main PRIVATE nvcv_cached::nvcv_cached)\n"
        )
        run(["cmake", "-S", tmp_path, "-B", program.parent, f"-DCMAKE_PREFIX_PATH={stage}"], environment)
        run(["cmake", "--build", program.parent], environment)
    else:
        program.parent.mkdir()
        paths = ":".join(str(p.parent) for p in stage.rglob("nvcv_cached.pc"))
        with_path = {**environment, "PKG_CONFIG_PATH": paths}
        flags = run(["pkg-config", "--cflags", "--libs", "nvcv_cached"], with_path).split()
        library = next(stage.rglob("libnvcv_cached.so")).parent
        run(["c++", "-std=c++17", source, "-o", program, *flags, f"-Wl,-rpath,{library}"], environment)
    assert run([program], environment).split()[:4] == promised(text, "//")[:4]


@pytest.mark.parametrize("text", blocks("python"))
def test_readme_python(environment, tmp_path, text):
    script = tmp_path / "reader.py"
    script.write_text(text)
    words = promised(text, "#")
    assert run([sys.executable, script], environment).split()[: len(words)] == words


@pytest.mark.parametrize("text", blocks("sh"))
def test_readme_sh(environment, tmp_path, text):
    for line in text.splitlines():
        run_line(line, environment, tmp_path)


def test_readme_other_blocks_are_make_and_git():
    commands = [line.split()[0] for text in blocks("") for line in text.splitlines() if line.strip()]
    assert set(commands) == {"git", "make"}
    targets = {line.split()[1] for text in blocks("") for line in text.splitlines() if line.startswith("make")}
    made = set(re.findall(r"^([a-z][\w -]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets <= {name for names in made for name in names.split()}


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/design.md",
        "docs/protocol.md",
        "docs/cuda.md",
        "docs/security.md",
        "docs/namespaces.md",
        "docs/compatibility.md",
        "tests/model/README.md",
    ],
)
def test_pages_name_files_that_exist(page):
    """A path or a file's name in code font names something in the tree; `NAME` stands for any."""
    names = re.findall(
        r"`((?:[\w.-]+/)*[\w.-]+\.(?:cc|h|py|proto|md|json|sh|patch)|(?:[a-z_]+/)+)`", (ROOT / page).read_text()
    )
    names += re.findall(r"\]\(((?!http)[^)#]+)\)", (ROOT / page).read_text())
    names = [name.removeprefix("../") for name in names]
    assert names
    tree = set(subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split())
    for name in names:
        if name.endswith("/"):
            assert any(f"/{path}".find(f"/{name}") >= 0 for path in tree), name
        else:
            wanted = re.compile(r"(^|/)" + re.escape(name).replace("NAME", r"\w+") + "$")
            assert any(wanted.search(path) for path in tree), name


def test_readme_has_a_block_of_each_kind():
    for language in ("", "cpp", "python", "sh"):
        assert blocks(language), language
