"""The daemon on a GPU: how it is chosen, named and refused, and how it leaves low pid numbers and failed GPUs."""

import os
import re
import shutil
import signal
import socket
import subprocess

import pytest
from gpu_daemon import BIN, FAKE, UUID, eventually

GIB = 1 << 30


def test_device_IsTheFirstGpuByDefaultAndNamesTheSocket(place):
    daemon = place.start()
    assert re.search(r" start .*device=cuda:0 uuid=(GPU|MIG)-", daemon.text())
    assert daemon.socket == place.directory / "nvcv-cached" / f"{daemon.uuid}.sock"
    stats = daemon.stats()
    assert stats["device"]["id"] == daemon.uuid and stats["device"]["index"] == 0
    total = stats["device"]["total_bytes"]
    assert stats["settings"]["capacity"] == {"value": total * 90 // 100, "origin": "default"}
    assert stats["settings"]["limit"] == {"value": total // 2, "origin": "default"}
    assert daemon.terminate() == 0
    assert not daemon.socket.exists()


def test_device_ByUuidAndWhateverItsEnvironmentHides(place):
    uuid = UUID.search(place.start().text()).group()
    place.close()
    place.directory.mkdir()
    (place.directory / "fake").mkdir()
    for name in (uuid, uuid[:13], "cuda:0"):
        daemon = place.start(f"--device={name}", CUDA_VISIBLE_DEVICES="", CUDA_DEVICE_ORDER="FASTEST_FIRST")
        assert daemon.uuid == uuid
        assert daemon.terminate() == 0


def test_device_IsTheHostWhereGpusAreHiddenAndNobodyNamesOne(place):
    daemon = place.start(CUDA_VISIBLE_DEVICES="")
    assert "device=host" in daemon.text() and "host-device why=" in daemon.text()
    assert daemon.terminate() == 0


def test_device_ThatIsNotThereIsAnsweredWithThoseThatAre(place):
    result = place.run("--device=cuda:99")
    assert result.returncode == 4, result
    assert "cuda:99: no such GPU" in result.stderr and "cuda:0 GPU-" in result.stderr


def test_device_ASecondDaemonLeavesBeforeItTouchesTheGpu(place):
    daemon = place.start()
    second = place.run()
    assert second.returncode == 3, second
    assert f"pid {daemon.pid}" in second.stderr and str(daemon.socket) in second.stderr


@pytest.mark.skipif(not FAKE, reason="a real GPU's compute mode is left alone")
def test_device_RefusedModesSayWhatToDo(place):
    result = place.run(FAKE_CUDA_COMPUTE_MODE="3")
    assert result.returncode == 4 and "do: nvidia-smi -c DEFAULT" in result.stderr, result
    result = place.run(FAKE_CUDA_MPS="1")
    assert result.returncode == 4 and "nvidia-cuda-mps-control" in result.stderr, result


@pytest.mark.skipif(not FAKE, reason="a real driver is of one version")
def test_driver_OldOnesAreRefusedOrWarnedAbout(place):
    for lacks in ("cuCtxGetId", "cuStreamWriteValue64"):
        result = place.run("--device=cuda:0", FAKE_CUDA_LACKS=lacks)
        assert result.returncode == 4, result
        assert f"older than 12.0 (525): it has no {lacks}" in result.stderr, result.stderr
        assert "do: install driver 525 or newer" in result.stderr, result.stderr
    daemon = place.start(FAKE_CUDA_VERSION="12030")
    assert re.search(r"WARN +device warning=.*does not tell whether MPS.*do: keep MPS off", daemon.text()), (
        daemon.text()
    )
    assert daemon.terminate() == 0
    daemon = place.start(FAKE_CUDA_VERSION="12040")
    assert "MPS" not in daemon.text(), daemon.text()


@pytest.mark.skipif(not FAKE, reason="a real driver does not fail on command")
def test_driver_OneThatDoesNotStartIsNoHost(place):
    """Whoever has a driver wants the GPU: the host is not served in its place."""
    (place.directory / "fake" / "fail").touch()
    for flags in ((), ("--device=cuda:0",)):
        result = place.run(*flags, FAKE_CUDA_FAIL="cuInit:999")
        assert result.returncode == 4 and "the CUDA driver does not start: cuInit" in result.stderr, result
        assert "do: look at nvidia-smi" in result.stderr, result


@pytest.mark.skipif(not FAKE, reason="only the fake GPU is divided here")
def test_device_AMigInstanceByItsUuid(place):
    """Two instances of one GPU have a daemon each, at sockets of their own names."""
    first, second = (f"MIG-fa000000-0000-0000-0000-00000000000{number}" for number in (0, 1))
    daemons = [place.start(f"--device={name}", FAKE_CUDA_MIG="2") for name in (first, second)]
    assert [daemon.uuid for daemon in daemons] == [first, second]
    assert [daemon.socket.name for daemon in daemons] == [f"{first}.sock", f"{second}.sock"]
    assert "MIG 1g.1gb" in daemons[1].text()
    result = place.run(f"--device={second[:-1]}7", FAKE_CUDA_MIG="2")
    assert result.returncode == 4 and f"{second[:-1]}7" in result.stderr, result


@pytest.mark.skipif(not FAKE, reason="a real driver does not fail on command")
def test_failure_AnErrorThatStaysEndsTheDaemon(place):
    daemon = place.start(FAKE_CUDA_FAIL="cuMemGetInfo:719")
    (place.directory / "fake" / "fail").touch()
    daemon.ctl("stats")
    assert daemon.process.wait(30) == 1
    assert "device-failed exit=1" in daemon.text() and "cuMemGetInfo" in daemon.text()
    (place.directory / "fake" / "fail").unlink()
    assert place.start().terminate() == 0  # the next one serves


# ---- low pid numbers


@pytest.fixture
def namespace():
    """Makes a command pid 1 of its own PID namespace."""
    prefix = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        pytest.skip("no right to make PID namespaces here")
    return prefix


def only_child(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return int(children.read().split()[0])


def stand_in_of(daemon):
    """Pid 1 of the daemon's namespace, as we see it."""
    return only_child(daemon.process.pid)


def test_pids_PidOneLeavesTheDaemonToAHighNumber(place, namespace):
    daemon = place.start(prefix=namespace)
    assert 4000 <= daemon.pid < 9000, daemon.text()
    os.kill(stand_in_of(daemon), signal.SIGTERM)  # what a container's runtime does
    assert daemon.process.wait(30) == 0
    assert "leave why=drained" in daemon.text()


def test_pids_TheStandInEndsAsTheDaemonDoes(place, namespace):
    result = subprocess.run(
        [*namespace, str(BIN / "nvcv-cached"), "--device=cuda:99"],
        capture_output=True,
        text=True,
        timeout=30,
        env=place.environment(),
    )
    assert result.returncode == 4, result
    daemon = place.start(prefix=namespace)
    inner = only_child(stand_in_of(daemon))
    os.kill(inner, signal.SIGKILL)
    assert daemon.process.wait(30) == 128 + signal.SIGKILL


def test_pids_OneSignalThatReachesBothIsOne(place, namespace):
    daemon = place.start(prefix=namespace)
    stand_in = stand_in_of(daemon)
    inner = only_child(stand_in)
    for pid in (inner, stand_in):
        os.kill(pid, signal.SIGTERM)
    assert daemon.process.wait(30) == 0
    assert "a second signal" not in daemon.text()


def test_pids_TheServiceManagerHearsItFromTheStandIn(place, namespace):
    path = str(place.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(30)
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        daemon = place.start(prefix=namespace, NOTIFY_SOCKET=path)
        message, ancillary, *_ = manager.recvmsg(4096, 256)
        assert message.split(b"\n")[0] == b"READY=1"
        sender = int.from_bytes(ancillary[0][2][:4], "little")
        assert sender == stand_in_of(daemon)
        os.kill(sender, signal.SIGTERM)
        heard = b""
        while b"STOPPING=1" not in heard:  # words about its state may come before
            heard += manager.recv(4096)
        eventually(lambda: daemon.process.poll() == 0, "the daemon has left")
