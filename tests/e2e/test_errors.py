"""What a client's errors say: asked, found, do. One test for each class that a daemon, or its absence, can cause.

Forked is in test_processes, VersionMismatch in test_operator, DeviceError in tests/gpu.
"""

import os
import re
import shutil
import signal
import subprocess

import pytest
from clients import LineProcess
from conditions import BIN, MIB, clean_environment, eventually, fails


def test_outOfMemory_NamesAskerSizeHoldersAndWhatToDo(workshop):
    daemon = workshop.daemon(capacity=8 * MIB)
    resize, detector = daemon.probe("resize"), daemon.probe("detector")
    resize.buffer(3 * MIB)
    detector.buffer(3 * MIB)
    with fails("OutOfMemory") as error:
        resize.buffer(6 * MIB)
    assert re.fullmatch(
        r"NVCV_ERROR_OUT_OF_MEMORY: asked 6\.00 MiB on host for Buffer 6291456; "
        r"found pool 8\.00 MiB of 8\.00 MiB, 0 B idle; "
        rf"in use: .*resize pid {resize.pid} 3\.00 MiB.*; do: free some there, or raise capacity",
        error.text,
    ), error.text
    assert f"detector pid {detector.pid} 3.00 MiB" in error.text
    # Word for word in the log, for whoever does not see the client.
    said = error.text.removeprefix("NVCV_ERROR_OUT_OF_MEMORY: ").removesuffix(
        "; do: free some there, or raise capacity"
    )
    session = daemon.session(resize)["id"]
    line = (
        f'refused session={session} pid={resize.pid} name=resize code=out_of_memory error="{said}" '
        'hint="free some there, or raise capacity"'
    )
    eventually(lambda: f"WARN  {line}" in daemon.log_text(), "the refusal is in the log")


def test_quotaExceeded_NamesTheSessionAndTheCommand(workshop):
    daemon = workshop.daemon()
    probe = daemon.probe("a")
    probe.buffer(3 * MIB)
    session = daemon.session(probe)["id"]
    daemon.ctl("quota", "4MiB", "--session", session)
    with fails("QuotaExceeded") as error:
        probe.buffer(3 * MIB)
    assert error.text.startswith("NVCV_ERROR_OUT_OF_MEMORY: asked 3.00 MiB"), error.text
    assert f"session {session} holds 3.00 MiB of its 4.00 MiB" in error.text, error.text
    assert error.text.endswith(f"do: release, or nvcv-cachectl quota SIZE --session {session}"), error.text
    line = f"refused session={session} pid={probe.pid} name=a code=quota "
    eventually(lambda: line in daemon.log_text(), "the refusal is in the log")


def test_unavailable_NoRoomForOneMoreSessionIsInTheLogToo(workshop):
    daemon = workshop.daemon(max_sessions=1)
    daemon.probe("a").buffer(MIB)
    probe = daemon.probe("b", env={"NVCV_CACHED_TIMEOUT": "2s"})
    with fails("Unavailable") as error:
        probe.buffer(MIB)
    assert "takes no more sessions: 1 of 1 sessions are open" in error.text, error.text
    line = f"connection-refused reason=limit pid={probe.pid} uid={os.getuid()} error="
    eventually(lambda: line in daemon.log_text(), "the refusal is in the log")


def test_unavailable_SaysWhereItLookedAndThatTensorsStay(workshop):
    daemon = workshop.daemon()
    probe = daemon.probe("a", env={"NVCV_CACHED_TIMEOUT": "2s"})
    held = probe.buffer(MIB)
    probe.fill(held, 7)
    daemon.kill()
    with fails("Unavailable") as error:
        probe.buffer(MIB)
    assert str(daemon.socket) in error.text and "tensors you hold stay valid" in error.text, error.text
    assert "; do: " in error.text, error.text
    assert probe.wrong(held, 7) == 0


def test_deadlineExceeded_NamesTheProcessAndItsState(workshop):
    daemon = workshop.daemon()
    probe = daemon.probe("a", env={"NVCV_CACHED_TIMEOUT": "2s"})
    probe.buffer(MIB)
    daemon.stop()
    with fails("DeadlineExceeded") as error:
        probe.buffer(6 * MIB)
    daemon.resume()
    assert f"no answer in 2s from pid {daemon.process.pid} (state T)" in error.text, error.text
    assert error.text.endswith("do: check that process, or raise NVCV_CACHED_TIMEOUT"), error.text


@pytest.mark.parametrize(
    "variable, value, found, do",
    [
        ("NVCV_CACHED_TIMEOUT", "soon", "NVCV_CACHED_TIMEOUT=soon", "write 500ms"),
        ("NVCV_CACHED_TIMEOUT", "0s", "NVCV_CACHED_TIMEOUT=0s", "use 500ms"),
        ("NVCV_CACHED_AUTOSTART", "maybe", "NVCV_CACHED_AUTOSTART=maybe", "0 or 1"),
        ("NVCV_CACHED_DEVICE", "gpu7", '"gpu7"', "host, cuda:N or a GPU's UUID"),
        ("NVCV_CACHED_ADDRESS", "/" + "x" * 200, "201 bytes", "shorter directory"),
        ("NVCV_CACHED_LOG", "loud", "NVCV_CACHED_LOG=loud", "off, error, warn, info or debug"),
        ("NVCV_CACHED_STRICT_STREAMS", "2", "NVCV_CACHED_STRICT_STREAMS=2", "0 or 1"),
    ],
)
def test_invalidArgument_NamesTheVariable(workshop, variable, value, found, do):
    daemon = workshop.daemon()
    probe = daemon.probe("a", env={variable: value})
    with fails("InvalidArgument") as error:
        probe.buffer(MIB)
    assert error.text.startswith("NVCV_ERROR_INVALID_ARGUMENT: "), error.text
    assert found in error.text and do in error.text, error.text


# ---- the system's socket comes before the user's


@pytest.fixture
def system(workshop):
    """A mount namespace with a /run of its own: `enter` is the prefix of what runs there."""
    if os.getuid() != 0 or not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("a /run of its own needs root, unshare and nsenter")
    setup = "mount -t tmpfs none /run && mkdir -m 755 /run/nvcv-cached && echo ready && exec cat"
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", setup], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if holder.stdout.readline() != "ready\n":
        holder.wait(20)
        pytest.skip("no right to mount here")
    started = []

    class System:
        enter = ("nsenter", "--mount", "--target", str(holder.pid))
        runtime = workshop.root / "runtime"

        def daemon(self, *flags):
            command = [*self.enter, str(BIN / "nvcv-cached"), "--device=host", *flags]
            command.append("--socket=/run/nvcv-cached/host.sock")
            started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, env=clean_environment()))
            eventually(lambda: self.ctl("ping").returncode == 0, "it serves")

        def ctl(self, *args):
            command = [*self.enter, str(BIN / "nvcv-cachectl"), "--address", "/run/nvcv-cached/host.sock", *args]
            return subprocess.run(command, capture_output=True, text=True, timeout=30, env=clean_environment())

        def client(self, *prefix):
            """A client that nobody told where the daemon is."""
            script = workshop.root / "client"
            script.write_text(f"#!/bin/sh\nexec {' '.join([*self.enter, *prefix])} {BIN / 'e2e_probe'}\n")
            script.chmod(0o755)
            env = {"XDG_RUNTIME_DIR": str(self.runtime), "NVCV_CACHED_NAME": "client"}
            started.append(LineProcess(script, workshop.root / "client.log", env))
            return started[-1]

    made = System()
    made.runtime.mkdir(mode=0o777)
    yield made
    for process in reversed(started):
        if isinstance(process, LineProcess):
            process.close()
        else:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    holder.stdin.close()
    holder.wait(20)


def test_address_TheSystemsSocketIsUsed(system):
    system.daemon()
    system.client().call("buffer", 1, MIB)
    assert "client" in system.ctl("sessions").stdout
    assert not list(system.runtime.iterdir()), "no daemon of the user's own"


def test_address_ASystemSocketThatOneMayNotOpenIsAnError(system):
    system.daemon("--mode=0600")
    client = system.client("setpriv", "--reuid=12001", "--regid=12001", "--clear-groups")
    with fails("PermissionDenied") as error:
        client.call("buffer", 1, MIB)
    assert "socket /run/nvcv-cached/host.sock: you are uid 12001" in error.text and "do: " in error.text, error.text
    assert not list(system.runtime.iterdir()), "no reason for a second daemon"
