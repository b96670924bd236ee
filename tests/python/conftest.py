"""Fixtures: one daemon for this process (`served`), others for scripts in processes of their own.

All on the host, or on the GPU that NVCV_CACHED_TEST_DEVICE names (device_memory.py).
"""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from conditions import MIB, clean_environment
from daemon import Workshop
from device_memory import DEVICE, ON_GPU

LIMIT = 32 * MIB


@pytest.fixture(scope="session", autouse=True)
def served():
    """The daemon that this process borrows from."""
    workshop = Workshop(device=DEVICE)
    daemon = workshop.daemon(limit=LIMIT)
    os.environ.update(environment_of(daemon))
    yield daemon
    trouble = workshop.close()
    workshop.remove()
    assert not trouble, trouble


@pytest.fixture(autouse=True)
def empty_cache(served):
    import nvcv_cached as nvcv

    gc.collect()
    nvcv.set_cache_limit_inbytes(LIMIT)
    nvcv.clear_cache()
    assert nvcv.cache_size() == 0
    yield
    gc.collect()


@pytest.fixture
def workshop():
    """For tests that need a daemon of their own."""
    made = Workshop(device=DEVICE)
    yield made
    trouble = made.close()
    made.remove()
    assert not trouble, trouble


def environment_of(daemon):
    return {
        "NVCV_CACHED_ADDRESS": str(daemon.socket),
        "NVCV_CACHED_DEVICE": DEVICE,
        "NVCV_CACHED_AUTOSTART": "0",
        **({"CUDA_VISIBLE_DEVICES": "0"} if ON_GPU else {}),
    }


@pytest.fixture
def script(served):
    """script(code, daemon=..., **env) runs Python code in a process of its own; its leaks are on its stderr."""

    def start(code, daemon=served, **environment):
        made = clean_environment() | environment_of(daemon) | {"NVCV_CACHED_LEAK_WARNINGS": "1"} | environment
        return subprocess.Popen(
            [sys.executable, "-c", code], env=made, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(code, timeout=60, **kwargs):
        process = start(code, **kwargs)
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    run.start = start
    return run
