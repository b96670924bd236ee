"""What goes wrong: each class with the builtin it is too, its code and hint, and in time (L3, L4)."""

import os
import pickle
import signal
import time

import nvcv_cached as nvcv
import pytest
from conditions import eventually, process_state


@pytest.mark.parametrize(
    ("name", "builtin", "code"),
    [
        ("InvalidArgument", ValueError, "INVALID_ARGUMENT"),
        ("OutOfMemory", MemoryError, "OUT_OF_MEMORY"),
        ("QuotaExceeded", MemoryError, "QUOTA_EXCEEDED"),
        ("Unavailable", ConnectionError, "UNAVAILABLE"),
        ("DeadlineExceeded", TimeoutError, "DEADLINE_EXCEEDED"),
        ("PermissionDenied", PermissionError, "PERMISSION_DENIED"),
        ("VersionMismatch", RuntimeError, "VERSION_MISMATCH"),
        ("DeviceError", RuntimeError, "DEVICE_ERROR"),
        ("Forked", RuntimeError, "FORKED"),
    ],
)
def test_classes(name, builtin, code):
    error = getattr(nvcv, name)("asked; found; do")
    assert isinstance(error, (nvcv.Error, RuntimeError)) and isinstance(error, builtin)
    assert (str(error), error.code, error.hint) == ("asked; found; do", code, "")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


PRELUDE = """
import numpy as np, nvcv_cached as nvcv, time
def attempt(shape=(8, 8)):
    start = time.monotonic()
    try:
        nvcv.Tensor(shape, np.uint8)
        print("made")
    except nvcv.Error as error:
        bases = [base.__name__ for base in type(error).__mro__]
        print(error.code, "|", ",".join(bases), "|", error, "|", error.hint, "|", time.monotonic() - start)
"""


def told(result):
    assert result.returncode == 0, result.stderr
    code, bases, text, hint, seconds = (part.strip() for part in result.stdout.splitlines()[-1].split(" | "))
    assert hint and hint in text
    return code, bases, text, float(seconds)


def test_L3_no_daemon_fails_at_once(script, tmp_path):
    socket = tmp_path / "none.sock"
    code, bases, text, seconds = told(script(PRELUDE + "attempt()", NVCV_CACHED_ADDRESS=str(socket)))
    assert code == "UNAVAILABLE" and "ConnectionError" in bases and str(socket) in text
    assert seconds < 1


def test_a_text_that_is_not_utf8_arrives(script, tmp_path):
    socket = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.sock")
    code, _, text, _ = told(script(PRELUDE + "attempt()", NVCV_CACHED_ADDRESS=socket))
    assert code == "UNAVAILABLE" and "/caf\\xe9.sock" in text
    shown = script(
        "import nvcv_cached as nvcv; print(nvcv.device().name)", NVCV_CACHED_ADDRESS=socket, NVCV_CACHED_DEVICE=""
    )
    assert shown.returncode == 0 and "/caf?.sock" in shown.stdout, shown.stderr


def test_L4_a_stopped_daemon_costs_the_timeout(script, workshop):
    daemon = workshop.daemon()
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        result = script(PRELUDE + "attempt()", daemon=daemon, NVCV_CACHED_TIMEOUT="300ms")
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    code, bases, text, seconds = told(result)
    assert code == "DEADLINE_EXCEEDED" and "TimeoutError" in bases
    assert 0.2 < seconds < 5, text


def test_connect_chooses_in_code(script, workshop):
    daemon = workshop.daemon()
    code = f"""
import numpy as np, nvcv_cached as nvcv
nvcv.connect(address={str(daemon.socket)!r}, name="chosen", timeout=3.5, autostart=False)
tensor = nvcv.Tensor((8, 8), np.uint8)
print(nvcv.stats(scope="daemon")["cache_items"])
"""
    result = script(code, NVCV_CACHED_ADDRESS="/nowhere.sock")
    assert (result.returncode, result.stdout.strip()) == (0, "1"), result.stderr


def test_quota(script, workshop):
    daemon = workshop.daemon(quota="1MiB")
    code, bases, text, _ = told(script(PRELUDE + "attempt((4096, 4096))", daemon=daemon))
    assert code == "QUOTA_EXCEEDED" and "MemoryError" in bases
    assert text.startswith("NVCV_ERROR_OUT_OF_MEMORY: ") and "MiB" in text


@pytest.mark.parametrize("wrong", ["8", "-1s", "soon"])
def test_bad_settings_name_themselves(script, wrong):
    result = script(PRELUDE + "attempt()", NVCV_CACHED_TIMEOUT=wrong)
    assert "INVALID_ARGUMENT" in result.stdout and wrong in result.stdout, result.stderr


def test_the_library_speaks_through_pythons_logger(script):
    code = """
import logging, sys
class Keep(logging.Handler):
    def emit(self, record):
        print(record.name, record.levelname, record.getMessage())
logging.getLogger("nvcv_cached").addHandler(Keep())
import nvcv_cached as nvcv
nvcv.set_cache_limit_inbytes(1 << 60)
nvcv.set_cache_limit_inbytes(1 << 61)
print("end")
"""
    result = script(code)
    assert result.returncode == 0 and result.stderr == "", result
    lines = result.stdout.splitlines()
    assert len(lines) == 2 and lines[1] == "end", lines
    assert lines[0].startswith("nvcv_cached WARNING the cache limit of this process, 1024PiB, is above"), lines
    unheard = script("import nvcv_cached as nvcv; nvcv.set_cache_limit_inbytes(1 << 60)", NVCV_CACHED_LOG="error")
    assert (unheard.returncode, unheard.stdout, unheard.stderr) == (0, "", ""), unheard
    shown = script("import nvcv_cached as nvcv; nvcv.set_cache_limit_inbytes(1 << 60)")
    assert "is above the device's memory" in shown.stderr, shown


def test_a_level_that_is_none_is_said(script):
    result = script(PRELUDE + "attempt()", NVCV_CACHED_LOG="loud")
    assert "INVALID_ARGUMENT" in result.stdout and "NVCV_CACHED_LOG=loud" in result.stdout, result


def test_L4_ctrl_c_ends_a_wait(script, workshop):
    daemon = workshop.daemon()
    code = """
import numpy as np, nvcv_cached as nvcv, sys
nvcv.Tensor((8, 8), np.uint8)
print("ready", flush=True)
sys.stdin.readline()
try:
    nvcv.Tensor((99, 99), np.uint8)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    import subprocess
    import sys

    from conditions import clean_environment
    from conftest import environment_of

    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=clean_environment() | environment_of(daemon) | {"NVCV_CACHED_TIMEOUT": "60s"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n"
        os.kill(daemon.process.pid, signal.SIGSTOP)
        eventually(lambda: process_state(daemon.process.pid) == "T", "the daemon is stopped")
        process.stdin.write("\n")
        process.stdin.flush()
        wait_until_asleep(process.pid)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert time.monotonic() - start < 5
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
        process.communicate(timeout=60)


def wait_until_asleep(pid):
    """The process sleeps in the kernel, and not in the read of its standard input."""

    def waits():
        with open(f"/proc/{pid}/syscall") as file:
            number = file.read().split()[0]
        return number not in ("running", "0")

    eventually(waits, "the client waits for the daemon")
