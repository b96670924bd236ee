"""Which daemons nvcv-cachectl finds, and that looking never starts one."""

import contextlib
import errno
import json
import os
import socket

import pytest
from conditions import BIN, MIB, eventually
from control import control


@pytest.fixture
def runtime(workshop):
    """An environment whose user directory of sockets is the test's own."""
    directory = workshop.root / "runtime"
    sockets = directory / "nvcv-cached"
    sockets.mkdir(parents=True, mode=0o700)
    return {"XDG_RUNTIME_DIR": str(directory), "XDG_CONFIG_HOME": str(directory), "sockets": sockets}


def say(runtime, *args, **env):
    environment = {key: value for key, value in runtime.items() if key != "sockets"}
    return control(*args, env={**environment, **env})


@pytest.fixture
def daemons(workshop, runtime):
    """Two daemons of the user: sockets in his directory, each started in a place of its own."""
    made = [workshop.daemon(), workshop.daemon()]
    for name, daemon in zip(("host", "GPU-11112222-aaaa"), made, strict=True):
        os.symlink(daemon.socket, runtime["sockets"] / f"{name}.sock")
    return made


READING = ["status", "stats", "sessions", "slabs", "leases", "limit", "policy", "quota", "ping", "config"]
CHANGING = [["limit", "1MiB"], ["policy", "lru"], ["quota", "1MiB"], ["clear"], ["trim"], ["drain"], ["stop"]]


def test_looking_NeverStartsADaemon(runtime):
    for command in [*([name] for name in READING), *CHANGING]:
        result = say(runtime, *command)
        assert result.returncode == 4, result
        assert "no nvcv-cached" in result.stderr and str(runtime["sockets"]) in result.stderr, result.stderr
        assert "/run/nvcv-cached" in result.stderr and "nvcv-cachectl start" in result.stderr, result.stderr
    assert not list(runtime["sockets"].iterdir())
    assert say(runtime, "version").returncode == 0


def test_reading_ShowsAllDaemons(runtime, daemons):
    assert len(say(runtime, "status", "--no-headers").stdout.splitlines()) == 2
    answers = json.loads(say(runtime, "stats", "-o", "json").stdout)
    assert {answer["pid"] for answer in answers} == {daemon.process.pid for daemon in daemons}


def test_device_ChoosesOne(runtime, daemons):
    for name, daemon in (("host", daemons[0]), ("GPU-11112222-aaaa", daemons[1]), ("GPU-1111", daemons[1])):
        assert json.loads(say(runtime, "stats", "-d", name, "-o", "json").stdout)["pid"] == daemon.process.pid
    assert say(runtime, "stats", "-d", "GPU-9").returncode == 4


def test_reading_SaysWhoseEachAnswerIs(runtime, daemons):
    names = ["GPU-11112222-aaaa", "host"]
    for daemon in daemons:
        daemon.probe("a").buffer(1 << 20)
    for command in ("sessions", "slabs", "leases", "misses"):
        rows = say(runtime, command, "--sort", "-device").stdout.splitlines()
        assert rows[0].startswith("DEVICE") and [row.split()[0] for row in rows[1:]] == names, rows
        assert {row["device"] for row in json.loads(say(runtime, command, "-o", "json").stdout)} == set(names)
        assert not say(runtime, "-d", "host", command).stdout.startswith("DEVICE")
    for command in (["limit"], ["policy"], ["quota"], ["quota", "--session", "1"]):
        said = say(runtime, *command).stdout.splitlines()
        assert [line.split(": ")[0] for line in said] == names, said
    for command in (*CHANGING[:5], ["drain"], ["undrain"], ["quota", "2MiB", "--session", "1"]):
        said = [line for line in say(runtime, "--all", *command).stdout.splitlines() if not line.startswith(" ")]
        assert [line.split(": ")[0] for line in said] == names, said
        answers = json.loads(say(runtime, "--all", "-o", "json", *command).stdout)
        assert [answer["socket"] for answer in answers] == [f"{runtime['sockets']}/{name}.sock" for name in names]


def test_changing_NeedsOneDaemonOrAll(runtime, daemons):
    refused = say(runtime, "limit", "1MiB")
    assert refused.returncode == 2 and "--all" in refused.stderr, refused
    assert {daemon.books().limit for daemon in daemons} == {64 << 20}
    assert say(runtime, "-d", "host", "limit", "1MiB").returncode == 0
    assert [daemon.books().limit >> 20 for daemon in daemons] == [1, 64]
    assert say(runtime, "--all", "limit", "2MiB").returncode == 0
    assert [daemon.books().limit >> 20 for daemon in daemons] == [2, 2]


def test_all_DoesNotPassOverOneThatCannotBeReached(runtime, daemons):
    """A program that listens and accepts nobody, with its line full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(runtime["sockets"] / "GPU-99990000-bbbb.sock"))
        listener.listen(0)
        full = False
        while not full:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            full = waiting.connect_ex(listener.getsockname()) == errno.EAGAIN
        assert say(runtime, "ping").returncode == 0
        for command in (["ping"], ["limit", "1MiB"]):
            refused = say(runtime, "--all", "--timeout", "300ms", *command)
            assert refused.returncode == 3 and "accepts no connection" in refused.stderr, refused
    assert {daemon.books().limit for daemon in daemons} == {64 << 20}


def test_address_WinsAndTheVariableIsTheSame(runtime, daemons):
    for args, env in ((["--address", daemons[0].socket], {}), ([], {"NVCV_CACHED_ADDRESS": str(daemons[0].socket)})):
        shown = json.loads(say(runtime, *args, "stats", "-o", "json", **env).stdout)
        assert shown["pid"] == daemons[0].process.pid


def test_commandLine_WinsOverTheVariable(runtime, daemons):
    env = {"NVCV_CACHED_ADDRESS": str(daemons[0].socket)}
    for args in (["-d", "GPU-1111"], ["--address", daemons[1].socket]):
        shown = json.loads(say(runtime, *args, "stats", "-o", "json", **env).stdout)
        assert shown["pid"] == daemons[1].process.pid, args
    already = say(runtime, "-d", "host", "start", **{"NVCV_CACHED_ADDRESS": "/nowhere/host.sock"})
    assert already.returncode == 0 and f"already running pid {daemons[0].process.pid}" in already.stdout, already


def test_stale_SocketsArePassedOver(runtime, daemons):
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(runtime["sockets"] / "stale.sock"))
    (runtime["sockets"] / "file.sock").write_text("")
    assert len(say(runtime, "status", "--no-headers").stdout.splitlines()) == 2
    result = say(runtime, "--address", runtime["sockets"] / "stale.sock", "status")
    assert result.returncode == 4 and "refused" in result.stderr, result


@pytest.fixture
def second_gpu(workshop, runtime):
    """A daemon of the fake driver's second GPU, in the user's directory under its UUID."""
    fake = workshop.root / "fake"
    fake.mkdir()
    driver = {"LD_LIBRARY_PATH": os.environ["NVCV_CACHED_FAKE_CUDA"], "FAKE_CUDA_DIR": str(fake)}
    daemon = workshop.daemon(
        device="cuda:1", capacity=16 * MIB, limit=None, environment={**driver, "FAKE_CUDA_DEVICES": "2"}
    )
    daemon.uuid = daemon.books().raw["device"]["id"]
    for suffix in (".sock", ".sock.last"):
        os.symlink(f"{daemon.socket.with_suffix('')}{suffix}", runtime["sockets"] / f"{daemon.uuid}{suffix}")

    def say_with(gpus, *args):
        """What nvcv-cachectl says where the driver knows so many GPUs; with none there is no driver to ask."""
        return say(runtime, *args, **driver, FAKE_CUDA_DEVICES=str(gpus))

    daemon.say_with = say_with
    return daemon


def test_last_AnIndexMeansTheDriversGpuAndWithoutOneTheRecords(second_gpu):
    second_gpu.terminate()
    for gpus in (2, 0):
        found = second_gpu.say_with(gpus, "stats", "--last", "-d", "cuda:1", "-o", "json")
        assert found.returncode == 0 and json.loads(found.stdout)["device"]["id"] == second_gpu.uuid, (gpus, found)
        other = second_gpu.say_with(gpus, "stats", "--last", "-d", "cuda:0")
        assert other.returncode == 1 and "cuda:0" in other.stderr and "*.sock.last in" in other.stderr, other
        assert ("which is GPU-" if gpus else "without a driver") in other.stderr, other
    # The driver has the last word: GPUs may have moved since the daemon left.
    moved = second_gpu.say_with(1, "stats", "--last", "-d", "cuda:1")
    assert moved.returncode == 1 and "which the driver does not know" in moved.stderr, moved


def test_metrics_AnIndexOfADaemonThatIsDown(second_gpu):
    down = f'nvcv_cached_up{{device="{second_gpu.uuid}"}} 0'
    second_gpu.kill()
    shown = second_gpu.say_with(2, "metrics", "-d", "cuda:1")
    assert shown.returncode == 0 and down in shown.stdout, shown
    other = second_gpu.say_with(2, "metrics", "-d", "cuda:0")
    assert other.returncode == 4 and "no nvcv-cached for cuda:0 (looked in" in other.stderr, other
    # Nothing says which index it has; once a daemon has left its record, that does.
    assert second_gpu.say_with(0, "metrics", "-d", "cuda:1").returncode == 4
    second_gpu.start()
    second_gpu.terminate()
    second_gpu.start()
    second_gpu.kill()
    assert down in second_gpu.say_with(0, "metrics", "-d", "cuda:1").stdout


def test_address_ThatIsTooLong(runtime):
    result = say(runtime, "--address", "/tmp/" + "x" * 150, "status")
    assert result.returncode == 2 and "107" in result.stderr, result


def test_start_MakesADaemonThatStopEnds(runtime):
    started = say(runtime, "start")
    assert started.returncode == 0 and started.stdout.startswith("started pid "), started
    try:
        pid = json.loads(say(runtime, "stats", "-o", "json").stdout)["pid"]
        assert f"started pid {pid} at {runtime['sockets']}/host.sock" in started.stdout
        again = say(runtime, "start")
        assert again.returncode == 0 and f"already running pid {pid}" in again.stdout, again
        assert say(runtime, "ping").returncode == 0
    finally:
        stopped = say(runtime, "stop")
    assert stopped.returncode == 0 and f"pid {pid}" in stopped.stdout, stopped
    assert not os.path.exists(f"/proc/{pid}") or eventually(lambda: not os.path.exists(f"/proc/{pid}"))
    assert say(runtime, "status").returncode == 4


def test_start_InADirectoryThatIsNotThereSaysWhatToDo(runtime):
    failed = say(runtime, "--address", runtime["sockets"] / "no" / "host.sock", "start")
    assert failed.returncode == 1, failed
    assert "No such file" in failed.stderr, failed.stderr
    assert f"next: make the directory {runtime['sockets']}/no" in failed.stderr, failed.stderr


def test_start_ThatFailsSaysWithWhatAndWhere(runtime):
    (runtime["sockets"] / "host.sock").mkdir()
    failed = say(runtime, "start")
    assert failed.returncode in (1, 5), failed
    assert "5" in failed.stderr and f"{runtime['sockets']}/host.sock.log" in failed.stderr, failed.stderr
    assert str(BIN / "nvcv-cached") in failed.stderr, failed.stderr
