"""--device all: a daemon for each GPU, in one container; on the fake driver, which has as many GPUs as one likes."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from conditions import BIN, DEADLINE, clean_environment, eventually, process_state

FAKE = os.environ["NVCV_CACHED_FAKE_CUDA"]


class Node:
    """One `nvcv-cached --device all` in a directory of its own."""

    def __init__(self, directory, gpus):
        self.directory, self.log = directory, directory / "node.log"
        (directory / "fake").mkdir()
        self.environment = {
            **clean_environment(),
            "LD_LIBRARY_PATH": FAKE,
            "FAKE_CUDA_DIR": str(directory / "fake"),
            "FAKE_CUDA_DEVICES": str(gpus),
            "XDG_RUNTIME_DIR": str(directory),
        }
        self.process = None

    def start(self, *flags):
        command = [BIN / "nvcv-cached", "--device=all", "--capacity=64MiB", "--slab-size=2MiB", *flags]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )

    def run(self, *flags, **environment):
        return subprocess.run(
            [BIN / "nvcv-cached", "--device=all", *flags],
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            env=self.environment | environment,
        )

    def sockets(self, kind="GPU"):
        return sorted((self.directory / "nvcv-cached").glob(f"{kind}-*.sock"))

    def answering(self, kind="GPU"):
        """Sockets whose daemon serves."""
        ping = [str(BIN / "nvcv-cachectl"), "--address"]
        return [
            path
            for path in self.sockets(kind)
            if subprocess.run([*ping, path, "ping"], check=False, capture_output=True, timeout=30).returncode == 0
        ]

    def text(self):
        return self.log.read_text(errors="replace")

    def pids(self):
        """Of the daemons that have started, the latest for each GPU."""
        return {uuid: int(pid) for pid, uuid in re.findall(r" start .*?pid=(\d+) .*?uuid=(\S+)", self.text())}


@pytest.fixture
def node(tmp_path_factory):
    made = []

    def make(gpus=2):
        directory = Path(tmp_path_factory.mktemp("n"))
        directory.chmod(0o700)
        made.append(Node(directory, gpus))
        return made[-1]

    yield make
    for one in made:
        if one.process and one.process.poll() is None:
            one.process.kill()  # its daemons drain and leave by themselves
            one.process.wait(DEADLINE)


def test_all_OneDaemonForEachGpuUntilAskedToStop(node):
    two = node()
    two.start()
    eventually(lambda: len(two.answering()) == 2, "both serve")
    two.process.terminate()
    assert two.process.wait(DEADLINE) == 0
    assert not two.sockets() and two.text().count("stopped pid=") == 2


def test_all_OneThatDiesIsStartedAgainAndTheOtherServesOn(node):
    two = node()
    two.start()
    eventually(lambda: len(two.answering()) == 2, "both serve")
    before = two.pids()
    victim, other = before
    os.kill(before[victim], signal.SIGKILL)
    eventually(lambda: two.pids()[victim] != before[victim] and len(two.answering()) == 2, "it serves again")
    assert two.pids()[other] == before[other]
    assert f"child-ended device={victim}" in two.text()


def test_all_AReloadReachesEveryDaemon(node):
    two = node()
    two.start()
    eventually(lambda: len(two.answering()) == 2, "both serve")
    two.process.send_signal(signal.SIGHUP)
    eventually(lambda: two.text().count("reload result=ok") == 2, "both have read their settings again")


def test_all_DaemonsLeaveWithTheirParent(node):
    two = node()
    two.start()
    eventually(lambda: len(two.answering()) == 2, "both serve")
    pids = two.pids().values()
    two.process.kill()
    two.process.wait(DEADLINE)
    eventually(lambda: all(process_state(pid) in "-ZX" for pid in pids), "nobody is left")


def test_all_WhereAllAreTakenIsExit3(node):
    two = node()
    two.start()
    eventually(lambda: len(two.answering()) == 2, "both serve")
    again = two.run()
    assert again.returncode == 3 and again.stderr.count("another daemon serves this device") == 2, again


def test_all_OneThatIsTakenIsNotTriedAgainAndTheRestServes(node):
    two = node()
    two.start("--device=cuda:0")  # the last one counts
    first = two.process
    try:
        eventually(lambda: len(two.answering()) == 1, "a daemon of the first GPU serves")
        two.start()
        eventually(lambda: len(two.answering()) == 2, "the second GPU is served too")
        two.process.send_signal(signal.SIGHUP)
        eventually(lambda: "reload result=ok" in two.text(), "it has read its settings again")
        assert two.text().count("another daemon serves this device") == 1
    finally:
        first.terminate()
        first.wait(DEADLINE)


@pytest.mark.parametrize(
    "flags, environment, code, words",
    [
        (["--socket=/tmp/x.sock"], {}, 2, "one path for the daemons of all devices"),
        (["--limit=8G"], {}, 2, "8GiB or 8GB"),
        ([], {"NOTIFY_SOCKET": "@nobody"}, 2, "one unit for each"),
        ([], {"FAKE_CUDA_DEVICES": "0"}, 4, "--device all"),
        ([], {"LD_LIBRARY_PATH": "/nonexistent"}, 4, "--device host"),
    ],
)
def test_all_WhatIsWrongIsSaidOnce(node, flags, environment, code, words):
    result = node().run(*flags, **environment)
    if environment.get("LD_LIBRARY_PATH") and result.returncode != code:
        pytest.skip("this machine has a driver of its own")
    assert result.returncode == code and result.stderr.count(words) == 1, result


def test_all_CheckConfigIsOfEveryDevice(node):
    result = node().run("--check-config")
    assert result.returncode == 0 and result.stdout.count("limit ") == 2, result


def test_all_OneDaemonForEachInstanceOfADividedGpu(node):
    """MIG: the driver shows a process one instance at a time; NVML lists them."""
    divided = node(gpus=1)
    divided.environment["FAKE_CUDA_MIG"] = "3"
    divided.start()
    found = eventually(lambda: len(each := divided.answering("MIG")) == 3 and each, "each instance is served")
    assert not divided.sockets("GPU"), "the GPU itself cannot be used"
    assert len({path.name for path in found}) == 3
    divided.process.terminate()
    assert divided.process.wait(DEADLINE) == 0


def test_all_ADividedGpuWithoutNvmlIsRefusedWithWhatToDo(node, tmp_path):
    divided = node(gpus=1)
    for name in Path(FAKE).iterdir():
        if "nvidia-ml" not in name.name:
            (tmp_path / name.name).symlink_to(name)
    result = divided.run(LD_LIBRARY_PATH=str(tmp_path), FAKE_CUDA_MIG="2")
    if "all-devices" in result.stderr:
        pytest.skip("this machine has an NVML of its own")
    assert result.returncode == 4 and "--device MIG-uuid" in result.stderr, result


def test_all_TheWholeOfADividedGpuIsRefusedWithItsInstance(node):
    divided = node(gpus=1)
    result = divided.run("--device=GPU-fa000000", FAKE_CUDA_MIG="2")
    assert result.returncode == 4 and "MIG-fa000000" in result.stderr and "MIG-uuid" in result.stderr, result
