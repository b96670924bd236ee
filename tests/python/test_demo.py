"""The demo's parts that only a GPU would show: the kernels' text, and which device it takes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conditions import BIN, clean_environment

DEMO = Path(__file__).parents[2] / "examples" / "demo"
NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
RELEASE = "13.0"  # that kernels.inc was made with: another one may choose other instructions
FAKE = BIN.parent / "fake_cuda"


def instructions(ptx):
    """Without comments, blank lines, and the versions, which are lowered so that older GPUs and drivers take it."""
    lines = (line.split("//")[0].strip() for line in ptx.splitlines())
    return [line for line in lines if line and not line.startswith((".version", ".target"))]


def why_no_nvcc():
    if NVCC is None:
        return "no nvcc here"
    said = subprocess.run([NVCC, "--version"], capture_output=True, text=True).stdout
    return "" if f"release {RELEASE}," in said else f"nvcc is not of release {RELEASE}"


def test_the_kernels_text_is_what_the_kernels_compile_to(tmp_path):
    if why := why_no_nvcc():
        pytest.skip(why)
    made = tmp_path / "kernels.ptx"
    command = [NVCC, "-ptx", "-arch=compute_75", "-o", made, DEMO / "kernels.cu"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    text = re.fullmatch(r'R"ptx\((.*)\)ptx"\n', (DEMO / "kernels.inc").read_text(), re.DOTALL).group(1)
    assert instructions(text) == instructions(made.read_text()), "do: make kernels.inc anew as kernels.cu says"


@pytest.mark.skipif(not FAKE.is_dir(), reason="the fake driver is not built")
@pytest.mark.parametrize("driver", [False, True])
def test_the_gpu_is_taken_where_there_is_one(driver, tmp_path):
    environment = clean_environment() | {"FAKE_CUDA_DIR": str(tmp_path), "NVCV_CACHED_BUILD": str(BIN.parent)}
    if driver:
        environment |= {"LD_LIBRARY_PATH": str(FAKE)}
        del environment["CUDA_VISIBLE_DEVICES"]
    code = f"import runpy; print(runpy.run_path({str(DEMO / '__main__.py')!r})['chosen_device']())"
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"PYTHONPATH": str(DEMO)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert said.stdout == ("cuda:0\n" if driver else "host\n"), said
