"""Sockets that are there before the daemon: passed by systemd's own tool, as by its socket units."""

import os
import signal
import socket
import subprocess

import pytest
from conditions import BIN, DEADLINE, MIB, clean_environment, eventually


@pytest.fixture
def activate(workshop, tmp_path):
    """activate(paths, *flags): who listens there and becomes the daemon when somebody connects."""
    running = []
    log = open(tmp_path / "activated.log", "ab")

    def start(paths, *flags):
        listen = [word for path in paths for word in ("-l", str(path))]
        command = ["systemd-socket-activate", *listen, str(BIN / "nvcv-cached"), "--device=host", *flags]
        environment = {**clean_environment(), "XDG_RUNTIME_DIR": str(tmp_path)}
        running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, env=environment))
        eventually(lambda: all(os.path.exists(path) for path in paths), "it listens")
        return running[-1]

    start.log = (tmp_path / "activated.log").read_text
    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE)
    log.close()


def pair(directory):
    return [directory / "host.sock", directory / "host.sock.fd"]


def test_activation_TheFirstClientStartsTheDaemon(workshop, activate, tmp_path):
    daemon = workshop.daemon()  # who makes probes and reads books; the activated one takes its place
    daemon.terminate()
    (tmp_path / "nvcv-cached").mkdir(mode=0o700)
    daemon.socket = pair(tmp_path / "nvcv-cached")[0]
    process = activate(pair(tmp_path / "nvcv-cached"), "--limit=8MiB")
    assert activate.log().count("start version") == 0
    a = daemon.probe("a")
    item = a.buffer(MIB)
    a.fill(item, 7)
    assert daemon.books().limit == 8 * MIB
    assert daemon.books().raw["settings"]["socket"] == {"value": str(daemon.socket), "origin": "env"}
    inode = daemon.socket.stat().st_ino
    process.terminate()
    eventually(lambda: "drain why=SIGTERM" in activate.log(), "it drains")
    a.drop(item)
    assert process.wait(DEADLINE) == 0
    assert daemon.socket.stat().st_ino == inode, "a manager's socket stays with its manager"


def test_activation_ASecondSignalLeavesTheSocketsToo(workshop, activate, tmp_path):
    daemon = workshop.daemon()
    daemon.terminate()
    (tmp_path / "nvcv-cached").mkdir(mode=0o700)
    daemon.socket = pair(tmp_path / "nvcv-cached")[0]
    process = activate(pair(tmp_path / "nvcv-cached"), "--drain-timeout=1h")
    daemon.probe("a").buffer(MIB)
    process.send_signal(signal.SIGTERM)
    eventually(lambda: "drain why=SIGTERM" in activate.log(), "it drains")
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 0
    assert all(path.exists() for path in pair(tmp_path / "nvcv-cached"))


def refused(process, path, activate):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert process.wait(DEADLINE) == 2
    return activate.log()


def test_activation_NamingAnotherSocketIsAnError(activate, tmp_path):
    process = activate(pair(tmp_path), f"--socket={tmp_path}/other.sock")
    log = refused(process, tmp_path / "host.sock", activate)
    assert f'--socket: "{tmp_path}/other.sock"' in log and "LISTEN_FDS" in log and "do:" in log, log


@pytest.mark.parametrize("names", [["host.sock"], ["a.sock", "b.sock"], ["a", "a.fd", "b"]])
def test_activation_OtherThanAPairIsAnError(activate, tmp_path, names):
    paths = [tmp_path / name for name in names]
    log = refused(activate(paths), paths[0], activate)
    assert "LISTEN_FDS" in log and "ListenStream=" in log, log
