"""Each check of `nvcv-cachectl doctor` sees what it is for: under the real condition where it can be had here, else in
a folder that stands for the machine, on the fake driver, or with something that answers in a daemon's place."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess

import pytest
from admin_double import FAILED, admin_double
from conditions import BIN, MIB, eventually, process_state
from control import control

FAKE_CUDA = os.environ.get("NVCV_CACHED_FAKE_CUDA")
ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="another uid needs root")


class Surgery:
    """A user's directories of the test's own, and what doctor says there."""

    def __init__(self, workshop):
        self.directory = workshop.root / "runtime"
        self.sockets = self.directory / "nvcv-cached"
        self.sockets.mkdir(parents=True, mode=0o700)
        self.environment = {"XDG_RUNTIME_DIR": str(self.directory)}
        self.machine = workshop.root / "machine"
        self.machine.mkdir()

    def write(self, path, text=""):
        file = self.machine / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def say(self, *args, env=None, **options):
        return control(*args, env={**self.environment, **(env or {})}, **options)

    def findings(self, *args, **options):
        """By check; the worst of those with the same name."""
        result = self.say("doctor", "-o", "json", *args, **options)
        rows = json.loads(result.stdout)
        order = ["ok", "warn", "FAIL"]
        found = {}
        for row in rows:
            known = found.get(row["check"])
            if known is None or order.index(known["verdict"]) < order.index(row["verdict"]):
                found[row["check"]] = row
            assert (row["hint"] == "") == (row["verdict"] == "ok"), row
        assert result.returncode == (1 if any(row["verdict"] == "FAIL" for row in rows) else 0), result
        return found

    def verdict(self, check, verdict, *args, **options):
        found = self.findings(*args, **options)
        assert check in found and found[check]["verdict"] == verdict, found
        return found[check]


@pytest.fixture
def surgery(workshop):
    return Surgery(workshop)


@pytest.fixture
def daemon(workshop, surgery):
    made = workshop.daemon()
    for suffix in ("", ".fd"):
        os.symlink(f"{made.socket}{suffix}", surgery.sockets / f"host.sock{suffix}")
    return made


@pytest.fixture
def fake_gpu(surgery):
    if not FAKE_CUDA:
        pytest.skip("NVCV_CACHED_FAKE_CUDA is not set")
    folder = surgery.directory / "fake"
    folder.mkdir()
    return {"LD_LIBRARY_PATH": FAKE_CUDA, "FAKE_CUDA_DIR": str(folder), "CUDA_VISIBLE_DEVICES": "0"}


def enter(*kinds):
    prefix = ["unshare", *kinds, "--fork", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        pytest.skip(f"no right to {' '.join(kinds)} here")
    return prefix


# ---- when all is well


def test_doctor_AllIsWell(surgery, daemon):
    found = surgery.findings()
    assert {row["verdict"] for row in found.values()} == {"ok"}, found
    assert set(found) == {
        *("settings", "driver", "device-nodes", "compute-mode", "mps", "mig", "wsl2", "descriptors", "memfd"),
        *("folder", "socket", "state", "versions", "equal-pids", "daemon-descriptors", "device-memory"),
        *("host-memory", "pid-namespace", "trial"),
    }
    daemon.quiet(in_use=0, sessions=0)  # it leaves nothing behind


def test_doctor_AsText(surgery, daemon):
    surgery.sockets.chmod(0o755)
    result = surgery.say("doctor", env={"NVCV_CACHED_TIMEOUT": "soon"})
    lines = result.stdout.splitlines()
    assert result.returncode == 1 and "2 checks failed" in result.stderr, result
    assert lines[0].startswith("FAIL  settings NVCV_CACHED_TIMEOUT=soon") and lines[1].startswith("      do: "), lines
    assert f"      do: chmod 0700 {surgery.sockets}" in lines, lines
    assert any(line.startswith("ok    memfd ") for line in lines), lines


def test_doctor_WithoutADaemonWarnsAndWithANamedOneFails(surgery):
    assert "nvcv-cachectl start" in surgery.verdict("daemon", "warn")["hint"]
    surgery.verdict("daemon", "FAIL", "-d", "host")
    surgery.verdict("socket", "FAIL", "--address", surgery.sockets / "host.sock")
    assert not list(surgery.sockets.iterdir())


def test_doctor_BundleHoldsWhatASupporterNeeds(surgery, daemon):
    a = daemon.probe("a")
    a.buffer(MIB)
    bundle = surgery.directory / "bundle.json"
    assert surgery.say("doctor", "--bundle", bundle, env={"NVCV_CACHED_NAME": "me"}).returncode == 0
    told = json.loads(bundle.read_text())
    assert told["variables"]["NVCV_CACHED_NAME"] == "me" and told["client"] == "0.1.0"
    (of_daemon,) = told["daemons"]
    assert of_daemon["stats"]["pid"] == daemon.process.pid
    # The session of doctor's own trial may still be among them.
    others = [row["name"] for row in of_daemon["sessions"] if not row["name"].startswith("nvcv-cachectl")]
    assert others == ["a"] and [row["session_name"] for row in of_daemon["leases"]].count("a") == 1
    assert f"Buffer {MIB}" in [row["spec"] for row in of_daemon["misses"]], of_daemon["misses"]
    assert [row["event"] for row in of_daemon["events"]][:3] == ["start", "config", "ready"], of_daemon["events"]
    assert {row["check"] for row in told["findings"]} >= {"trial", "driver"}
    refused = surgery.say("doctor", "--bundle", surgery.directory / "no" / "bundle.json")
    assert refused.returncode == 1 and "No such file" in refused.stderr, refused


# ---- the machine and this process


def test_settings_ThatAreWrong(surgery):
    found = surgery.verdict("settings", "FAIL", env={"NVCV_CACHED_DEVICE": "gpu7"})
    assert "gpu7" in found["text"] and "cuda:N" in found["hint"], found


def test_driver_ThatDoesNotStart(surgery, fake_gpu):
    (surgery.directory / "fake" / "fail").touch()
    found = surgery.verdict("driver", "FAIL", env={**fake_gpu, "FAKE_CUDA_FAIL": "cuInit:999"})
    assert "cuInit" in found["text"] and "999" in found["text"], found


def test_driver_InTheKernelAlone(surgery):
    surgery.write("/proc/driver/nvidia/version", "NVRM version: 580")
    if FAKE_CUDA is None and shutil.which("nvidia-smi"):
        pytest.skip("there is a driver here")
    assert "libcuda.so.1" in surgery.verdict("driver", "FAIL", "--root", surgery.machine)["text"]


def test_driver_NamesTheGpus(surgery, fake_gpu):
    found = surgery.verdict("driver", "ok", env=fake_gpu)
    assert "cuInit succeeds" in found["text"] and "cuda:0" in found["text"] and "GPU-" in found["text"], found


def test_deviceNodes_OneIsMissing(surgery):
    surgery.write("/proc/driver/nvidia/version", "NVRM version: 580")
    for name in ("nvidiactl", "nvidia0"):
        surgery.write(f"/dev/{name}")
    found = surgery.verdict("device-nodes", "FAIL", "--root", surgery.machine)
    assert "/dev/nvidia-uvm is not there" in found["text"] and "nvidia-modprobe -u" in found["hint"], found
    surgery.write("/dev/nvidia-uvm")
    assert "3 below /dev" in surgery.verdict("device-nodes", "ok", "--root", surgery.machine)["text"]
    (surgery.machine / "dev" / "nvidia0").unlink()
    assert "/dev/nvidia0" in surgery.verdict("device-nodes", "FAIL", "--root", surgery.machine)["text"]


@ROOT_ONLY
def test_deviceNodes_OneThatMayNotBeUsed(surgery, workshop):
    workshop.root.chmod(0o755)
    surgery.write("/proc/driver/nvidia/version", "NVRM version: 580")
    for name in ("nvidiactl", "nvidia-uvm", "nvidia0"):
        surgery.write(f"/dev/{name}").chmod(0o666)
    (surgery.machine / "dev" / "nvidia0").chmod(0o600)
    found = surgery.verdict("device-nodes", "FAIL", "--root", surgery.machine, user=12001, group=12001)
    assert "/dev/nvidia0 may not be read" in found["text"], found


def test_computeMode_Exclusive(surgery, fake_gpu):
    found = surgery.verdict("compute-mode", "FAIL", env={**fake_gpu, "FAKE_CUDA_COMPUTE_MODE": "3"})
    assert "EXCLUSIVE_PROCESS" in found["text"] and "nvidia-smi -c DEFAULT" in found["hint"], found


def test_mps_InUseAndLeftBehind(surgery, fake_gpu):
    found = surgery.verdict("mps", "FAIL", env={**fake_gpu, "FAKE_CUDA_MPS": "1"})
    assert "quit | nvidia-cuda-mps-control" in found["hint"], found
    (surgery.directory / "control").touch()
    surgery.verdict("mps", "warn", env={"CUDA_MPS_PIPE_DIRECTORY": str(surgery.directory)})


def test_mig_ADividedGpu(surgery):
    (surgery.machine / "proc/driver/nvidia/capabilities/gpu0/mig/gi1").mkdir(parents=True)
    found = surgery.verdict("mig", "warn", "--root", surgery.machine)
    assert "gpu0" in found["text"] and "MIG-uuid" in found["hint"], found


def test_wsl2_IsNamed(surgery):
    surgery.write("/proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n")
    assert "--device host" in surgery.verdict("wsl2", "FAIL", "--root", surgery.machine)["hint"]


def test_descriptors_TooFew(surgery):
    def bound(limit):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    assert "ulimit -n" in surgery.verdict("descriptors", "FAIL", preexec_fn=bound(40))["hint"]
    assert "is 400" in surgery.verdict("descriptors", "warn", preexec_fn=bound(400))["text"]


def test_memfd_BeyondRlimitFsize(surgery):
    def bound():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    assert "ftruncate" in surgery.verdict("memfd", "FAIL", preexec_fn=bound)["text"]


# ---- where daemons listen


def test_folder_OfTheUserWithAWrongMode(surgery):
    surgery.sockets.chmod(0o755)
    found = surgery.verdict("folder", "FAIL")
    assert "mode 0755" in found["text"] and found["hint"] == f"chmod 0700 {surgery.sockets}", found


@ROOT_ONLY
def test_folder_OfTheUserThatIsAnothers(surgery):
    os.chown(surgery.sockets, 12001, 12001)
    found = surgery.verdict("folder", "FAIL")
    assert "uid 12001" in found["text"] and "XDG_RUNTIME_DIR" in found["hint"], found


def test_folder_OfTheSystemThatAnybodyMayWrite(surgery):
    setup = 'mount -t tmpfs none /run && mkdir /run/nvcv-cached && chmod 0777 /run/nvcv-cached && exec "$@"'
    prefix = [*enter("--user", "--map-root-user", "--mount"), "sh", "-c", setup, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        pytest.skip("no right to mount here")
    found = surgery.verdict("folder", "FAIL", prefix=prefix)
    assert "/run/nvcv-cached" in found["text"] and "0777" in found["text"] and "chmod 0755" in found["hint"], found


def test_socket_ThatNobodyListensOn(surgery):
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(surgery.sockets / "host.sock"))
    found = surgery.verdict("socket", "warn")
    assert "nobody listens" in found["text"], found
    assert found["hint"] == f"rm {surgery.sockets}/host.sock {surgery.sockets}/host.sock.fd", found


@ROOT_ONLY
def test_socket_ThatOneMayNotOpen(surgery, daemon):
    daemon.directory.chmod(0o755)
    found = surgery.verdict("socket", "FAIL", "--address", daemon.socket, user=12001, group=12001)
    assert found["text"].startswith(f"{daemon.socket}: you are uid 12001") and found["hint"], found
    # It is there: to start another one is no way out.
    assert "daemon" not in surgery.findings("--address", daemon.socket, user=12001, group=12001)


# ---- a daemon


def test_state_DrainingAndSilent(surgery, daemon):
    daemon.ctl("drain")
    found = surgery.findings()
    assert found["state"]["verdict"] == "warn" and "undrain" in found["state"]["hint"] and "trial" not in found, found
    daemon.ctl("undrain")
    daemon.stop()
    eventually(lambda: process_state(daemon.process.pid) in "Tt", "stopped")
    try:
        assert "no answer" in surgery.verdict("daemon", "FAIL", "--timeout", "300ms")["text"]
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def test_state_TheDeviceHasFailed(surgery):
    with admin_double(surgery.sockets / "host.sock", state=FAILED):
        surgery.verdict("state", "FAIL")


def test_versions_OfAnotherProtocolFail(surgery):
    place = surgery.sockets / "host.sock"
    with admin_double(place, version="9.0.0", protocol=9, state=FAILED):
        found = surgery.verdict("versions", "FAIL")
    assert "daemon 9.0.0 speaks protocol 9" in found["text"] and "this environment" in found["hint"], found
    with admin_double(place, version="0.0.1", protocol=0, state=FAILED):
        assert surgery.verdict("versions", "FAIL")["hint"] == "upgrade the daemon"
    with admin_double(place, version="0.0.9", state=FAILED):
        surgery.verdict("versions", "warn")


def test_pidNamespace_ADaemonInAnotherOne(surgery, workshop):
    prefix = enter("--pid", "--mount-proc")
    place = surgery.sockets / "host.sock"
    outer = subprocess.Popen(
        [*prefix, str(BIN / "nvcv-cached"), "--device=host", f"--socket={place}"],
        env={**os.environ, **surgery.environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: surgery.say("ping").returncode == 0, "it serves")
        found = surgery.findings()
        assert found["pid-namespace"]["verdict"] == "warn" and "hostPID" in found["pid-namespace"]["hint"], found
        assert found["trial"]["verdict"] == "ok", found
    finally:
        outer.kill()
        outer.wait(20)


def test_pidNamespace_AKernelThatCannotNameTheProcess(surgery, workshop):
    prefix = enter("--pid", "--mount-proc")
    place = surgery.sockets / "host.sock"
    outer = subprocess.Popen(
        [*prefix, str(BIN / "nvcv-cached"), "--device=host", f"--socket={place}"],
        env={**os.environ, **surgery.environment, "NVCV_CACHED_TEST_NO_PEERPIDFD": "1"},
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: surgery.say("ping").returncode == 5, "it refuses")
        found = surgery.verdict("daemon", "FAIL")
        assert "pid is 0" in found["text"] and "hostPID" in found["hint"], found
    finally:
        outer.kill()
        outer.wait(20)


def test_equalPids_InTwoNamespaces(surgery):
    prefix = enter("--pid", "--mount-proc")  # pid 1 there
    with admin_double(surgery.sockets / "GPU-11112222-aaaa.sock", kind="cuda", pid=1, state=FAILED):
        found = surgery.verdict("equal-pids", "FAIL", prefix=prefix)
    assert "CUDA IPC fails" in found["text"] and "hostPID" in found["hint"], found
    with admin_double(surgery.sockets / "GPU-11112222-aaaa.sock", kind="cuda", pid=17, state=FAILED):
        assert "low numbers" in surgery.verdict("equal-pids", "warn")["text"]
    with admin_double(surgery.sockets / "GPU-11112222-aaaa.sock", kind="cuda", pid=4711, state=FAILED):
        surgery.verdict("equal-pids", "ok")


def test_daemonDescriptors_FewerThanItsSessionsNeed(surgery, daemon):
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (300, 300))
    found = surgery.verdict("daemon-descriptors", "warn")
    assert "300" in found["text"] and "LimitNOFILE=" in found["hint"], found


def test_deviceMemory_HeldByOthers(surgery):
    with admin_double(surgery.sockets / "GPU-11112222-aaaa.sock", kind="cuda", free=1 << 30, state=FAILED):
        found = surgery.verdict("device-memory", "warn")
    assert "15.0GiB of 16.0GiB are outside" in found["text"] and "by 7.00GiB" in found["text"], found
    assert "nvidia-smi" in found["hint"], found


def test_hostMemory_TheGroupsLimitIsBelowTheCapacity(surgery, daemon):
    surgery.write("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 8388608 kB\n")
    surgery.write(f"/proc/{daemon.process.pid}/cgroup", "0::/pod\n")
    surgery.write("/sys/fs/cgroup/pod/memory.max", "1048576\n")
    found = surgery.verdict("host-memory", "FAIL", "--root", surgery.machine)
    assert "capacity 64.0MiB" in found["text"] and "1.00MiB" in found["text"] and "pod" in found["text"], found


def test_trial_ThatIsRefusedSaysByWhat(surgery, daemon):
    daemon.ctl("quota", "64KiB")
    found = surgery.verdict("trial", "FAIL")
    assert "1.00 MiB" in found["text"] or "1.00MiB" in found["text"], found
    assert "quota" in found["text"] + found["hint"], found


def test_trial_OnAGpu(surgery, fake_gpu):
    place = surgery.sockets / "gpu.sock"
    gpu = subprocess.Popen(
        [str(BIN / "nvcv-cached"), "--device=cuda:0", f"--socket={place}", "--capacity=64MiB"],
        env={**os.environ, **surgery.environment, **fake_gpu},
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: surgery.say("ping").returncode == 0, "it serves")
        found = surgery.findings(env=fake_gpu)
        assert found["trial"]["verdict"] == "ok", found
        hidden = surgery.verdict("trial", "FAIL", env={**fake_gpu, "CUDA_VISIBLE_DEVICES": "-1"})
        assert "GPU-" in hidden["text"], hidden
    finally:
        gpu.terminate()
        assert gpu.wait(20) == 0
