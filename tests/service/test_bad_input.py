"""What is wrong around the daemon, and what its operator gets: an exit code and one line that says what to do.

Elsewhere: unknown keys, units and values (config.settings, e2e.operator), two sources of the socket
(service.activation, service.all_devices), no usable GPU (config.settings, gpu.server_fake), a daemon that hangs
(cli.commands, python.errors, service.notify, kubernetes.manifests).
"""

import os
import resource
import shutil
import subprocess

import pytest
from conditions import BIN, DEADLINE, MIB, clean_environment, eventually

PROGRAM = str(BIN / "nvcv-cached")


def run(*flags, env=None, **options):
    return subprocess.run(
        [PROGRAM, "--device=host", *map(str, flags)],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**clean_environment(), **(env or {})},
        **options,
    )


# ---- settings that cannot be read


def pipe(path):
    os.mkfifo(path)


def huge(path):
    with open(path, "wb") as file:
        file.truncate(2 * MIB)


@pytest.mark.parametrize(
    "make, found",
    [
        (lambda path: path.mkdir(), "not a regular file"),
        (pipe, "not a regular file"),  # whose writer never comes: no start that waits for ever
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (huge, "at most 1048576"),
        (lambda path: path.write_bytes(b"\xff\xfe\n"), "invalid utf-8"),
        (lambda path: path.symlink_to(path), "levels of symbolic links"),
        (lambda path: None, "No such file"),
    ],
)
def test_settings_ThatCannotBeReadAreExit2(tmp_path, make, found):
    file = tmp_path / "settings.toml"
    make(file)
    result = run(f"--config={file}", f"--socket={tmp_path}/host.sock")
    assert result.returncode == 2 and str(file) in result.stderr and found in result.stderr, result


def test_settings_DevNullIsNoSettings():
    assert run("--config=/dev/null", "--check-config").returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="another uid needs root")
def test_settings_OfSomebodyElseAreExit2(tmp_path):
    tmp_path.chmod(0o755)
    file = tmp_path / "settings.toml"
    file.write_text("")
    file.chmod(0o600)
    result = run(f"--config={file}", "--check-config", user=12001, group=12001)
    assert result.returncode == 2 and f"{file}: Permission denied" in result.stderr, result


def test_settings_AReloadThatCannotReadKeepsWhatIsInForce(workshop):
    daemon = workshop.daemon()
    file = daemon.start_from_file('limit = "8MiB"\n')
    file.unlink()
    os.mkfifo(file)
    daemon.process.send_signal(1)  # SIGHUP
    eventually(lambda: "reload result=refused failed=1" in daemon.log_text(), "refused")
    assert daemon.books().limit == 8 * MIB


# ---- a socket directory with wrong rights


@pytest.mark.parametrize(
    "make, found",
    [
        (lambda path: path.mkdir(mode=0o777) or path.chmod(0o777), "mode 0777"),
        (lambda path: path.mkdir() or path.chmod(0o755), "wanted uid"),
        (lambda path: path.write_text(""), "is not a directory"),
        (lambda path: path.symlink_to("/tmp"), "is not a directory"),
    ],
)
def test_directory_WithWrongRightsIsExit5(tmp_path, make, found):
    directory = tmp_path / "nvcv-cached"
    make(directory)
    result = run(env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert result.returncode == 5 and str(directory) in result.stderr and found in result.stderr, result


def test_directory_OfAnotherGroupThatIsNotOursIsAnError(tmp_path):
    result = run(f"--socket={tmp_path}/host.sock", "--group=no-such-group")
    assert result.returncode == 2 and "no-such-group" in result.stderr and "do:" in result.stderr, result


# ---- a full disk


def in_a_small_disk(tmp_path, script):
    """Runs it with $disk, a file system of 64 KiB in a mount namespace of its own; `fill` leaves it without a byte."""
    prelude = (
        'mount -t tmpfs -o size=64k small "$disk" || exit 77; fill() { dd if=/dev/zero of="$disk/full" 2>&-; true; }\n'
    )
    (tmp_path / "disk").mkdir()
    result = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", prelude + script],
        check=False,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        env={**clean_environment(), "disk": str(tmp_path / "disk"), "daemon": PROGRAM},
    )
    if result.returncode == 77 or "unshare" in result.stderr:
        pytest.skip(f"no file system may be mounted here: {result.stderr.strip()}")
    return result


needs_unshare = pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare")


@needs_unshare
def test_disk_FullAtTheStartIsExit5(tmp_path):
    result = in_a_small_disk(tmp_path, 'fill; "$daemon" --device=host --socket="$disk/host.sock"')
    assert result.returncode == 5, result
    assert "No space left on device" in result.stderr and "host.sock.lock" in result.stderr, result


@needs_unshare
def test_disk_FullAtTheEndCostsOnlyTheLastStatistics(tmp_path):
    script = """
    "$daemon" --device=host --socket="$disk/host.sock" 2>"$disk/../log" & pid=$!
    until grep -q ' ready ' "$disk/../log"; do kill -0 $pid || exit 1; done
    fill; kill $pid; wait $pid"""
    result = in_a_small_disk(tmp_path, script)
    log = (tmp_path / "log").read_text()
    assert result.returncode == 0, (result, log)
    assert "no-last-statistics" in log and "No space left on device" in log and "stopped pid=" in log, log


def test_disk_AFileSizeLimitIsAsGoodAsFull(tmp_path):
    result = run(
        f"--socket={tmp_path}/host.sock",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    assert result.returncode == 5 and "host.sock.lock: File too large" in result.stderr, result


def test_disk_ALogThatCannotBeWrittenStopsNothing(workshop):
    daemon = workshop.daemon()
    daemon.terminate()
    daemon.log = "/dev/full"
    daemon.log_text = lambda: ""
    daemon.start()
    daemon.ctl("limit", "8MiB")
    assert daemon.terminate() == 0
