"""Several daemons on one machine: GPUs of the fake driver beside the host."""

import re
from pathlib import Path

import pytest
from conditions import eventually
from machine import SERVICE, VARIABLES, active, command, pid, restarts, run, shell, show, systemctl, write

GPUS = ["nvcv-cached@cuda:0.service", "nvcv-cached@cuda:1.service"]
FOLDER = Path("/dev/shm/fake_cuda")
FAKE = f"""LD_LIBRARY_PATH=/usr/local/fake_cuda
FAKE_CUDA_DIR={FOLDER}
FAKE_CUDA_DEVICES=2
NVCV_CACHED_CAPACITY=64MiB
"""


def sockets():
    return {path.name for path in Path("/run/nvcv-cached").glob("*.sock")}


def uuids():
    return sorted(name.removesuffix(".sock") for name in sockets() if name.startswith("GPU-"))


@pytest.fixture(scope="module", autouse=True)
def fake_gpus():
    """Two GPUs, for the service alone."""
    FOLDER.mkdir(exist_ok=True)
    FOLDER.chmod(0o777)
    write(VARIABLES, FAKE)
    systemctl("restart", SERVICE)
    yield
    for unit in GPUS:
        command("systemctl", "disable", "--now", unit)
    VARIABLES.unlink()
    command("systemctl", "reset-failed", "nvcv-cached*")


def test_ADaemonForEachGpu():
    shell("systemctl enable --now nvcv-cached@cuda:0 nvcv-cached@cuda:1")
    assert [active(unit) for unit in [*GPUS, SERVICE]] == ["active"] * 3
    assert len(uuids()) == 2 and "host.sock" in sockets()
    status = shell("nvcv-cachectl status --no-headers")
    assert len(status.splitlines()) == 3, status
    assert "start" in shell("journalctl --no-pager -u nvcv-cached@cuda:0")


def test_TheEndOfOneLeavesTheOthersSockets():
    before, kept = sockets(), pid(GPUS[1])
    systemctl("stop", GPUS[0])
    assert len(before - sockets()) == 1
    assert pid(GPUS[1]) == kept
    assert len(shell("nvcv-cachectl status --no-headers").splitlines()) == 2
    shell("nvcv-cachectl ping --all")
    systemctl("start", GPUS[0])
    assert sockets() == before


def test_TwoNamesOfOneGpu_TheSecondFailsOnce():
    unit = f"nvcv-cached@{uuids()[0]}.service"
    assert command("systemctl", "start", unit).returncode != 0
    assert (active(unit), show(unit, "ExecMainStatus"), restarts(unit)) == ("failed", "3", 0)
    assert [active(unit) for unit in GPUS] == ["active"] * 2
    systemctl("reset-failed", unit)
    named = uuids()
    systemctl("stop", *GPUS)
    shell(f"systemctl enable --now nvcv-cached@{named[0]}")
    assert uuids() == named[:1]
    shell(f"systemctl disable --now nvcv-cached@{named[0]}")
    systemctl("start", *GPUS)


def test_TheTargetStopsAndStartsThemTogether():
    systemctl("stop", "nvcv-cached.target")
    eventually(lambda: not sockets(), "all left")
    assert [active(unit) for unit in [*GPUS, SERVICE]] == ["inactive"] * 3
    systemctl("start", "nvcv-cached.target")
    eventually(lambda: [active(unit) for unit in [*GPUS, SERVICE]] == ["active"] * 3, "all serve")
    before = [pid(unit) for unit in [*GPUS, SERVICE]]
    systemctl("restart", "nvcv-cached.target")
    eventually(lambda: [active(unit) for unit in [*GPUS, SERVICE]] == ["active"] * 3, "all serve again")
    assert not set(before) & {pid(unit) for unit in [*GPUS, SERVICE]}


def test_Drain_AndRestartOfOne():
    """docs/operate.md, Upgrade."""
    uuid = uuids()[0]
    shell(f"nvcv-cachectl -d {uuid} drain")
    assert command("nvcv-cachectl", "-d", uuid, "ping").returncode == 3
    shell("systemctl restart nvcv-cached@cuda:0")
    shell(f"nvcv-cachectl -d {uuid} ping")


def test_WithoutAGpu_ItTriesForAWhileAndGivesUp():
    for unit in GPUS:
        run("systemctl", "disable", "--now", unit)
    write(VARIABLES, "CUDA_VISIBLE_DEVICES=\n")
    found = command("systemctl", "start", GPUS[0])
    assert found.returncode != 0
    assert show(GPUS[0], "ExecMainStatus") == "4"
    eventually(lambda: active(GPUS[0]) == "failed", "it gave up", timeout=60)
    assert re.search("no-device", shell("journalctl --no-pager -u nvcv-cached@cuda:0"))
    # What docs/operate.md says of a service that gave up.
    assert command("systemctl", "start", GPUS[0]).returncode != 0
    assert "repeated too quickly" in shell("journalctl --no-pager -n 5 -u nvcv-cached@cuda:0")
    write(VARIABLES, FAKE)
    shell("systemctl reset-failed nvcv-cached@cuda:0 && systemctl start nvcv-cached@cuda:0")
    assert active(GPUS[0]) == "active"
