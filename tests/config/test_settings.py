"""Settings as the daemon's operator gives them: sources, their order, --check-config, exit codes 0 and 2."""

import grp
import os
import re
import subprocess
from pathlib import Path

import pytest
from conditions import BIN, MIB, clean_environment

ROOT = Path(__file__).parents[2]


def run(*args, env=None):
    return subprocess.run(
        [str(BIN / "nvcv-cached"), *map(str, args)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={**clean_environment(), **(env or {})},
    )


def checked(*args, env=None):
    """--check-config's lines: {key: [value, origin, where]}."""
    result = run("--check-config", *args, env=env)
    assert result.returncode == 0, result
    return {words[0]: words[1:] for words in map(str.split, result.stdout.splitlines())}


def test_origin_DefaultsAreDefaults(tmp_path):
    lines = checked(env={"XDG_CONFIG_HOME": str(tmp_path)})
    assert {words[1] for words in lines.values()} == {"default"}
    assert lines["policy"][0] == "lru" and lines["drain-timeout"][0] == "30s"


def test_origin_FlagOverEnvironmentOverFile(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('limit = "1MiB"\nquota = "2MiB"\npolicy = "clear"\n')
    lines = checked(
        f"--config={file}",
        "--limit=3MiB",
        env={"NVCV_CACHED_LIMIT": "4MiB", "NVCV_CACHED_QUOTA": "5MiB", "NVCV_CACHED_SLAB_SIZE": "8MiB"},
    )
    assert lines["limit"] == ["3.00MiB", "flag", "--limit"]
    assert lines["quota"] == ["5.00MiB", "env", "NVCV_CACHED_QUOTA"]
    assert lines["policy"] == ["clear", "file", f"{file}:3"]
    assert lines["slab-size"] == ["8.00MiB", "env", "NVCV_CACHED_SLAB_SIZE"]


def test_origin_TheDevicesSectionOverridesTheFile(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('limit = "1MiB"\n[device.host]\nlimit = "2MiB"\n[device."GPU-1"]\nlimit = "3MiB"\n')
    assert checked(f"--config={file}")["limit"] == ["2.00MiB", "file", f"{file}:3"]
    assert checked(f"--config={file}", "--limit=9MiB")["limit"][0] == "9.00MiB"


def test_file_TheUsersIsFoundWithoutBeingNamed(tmp_path):
    (tmp_path / "nvcv-cached").mkdir()
    (tmp_path / "nvcv-cached" / "nvcv-cached.toml").write_text("max-sessions = 5\n")
    assert checked(env={"XDG_CONFIG_HOME": str(tmp_path)})["max-sessions"][:2] == ["5", "file"]


def test_file_OneThatIsNamedMustBeThere(tmp_path):
    for args, env in ([f"--config={tmp_path}/no.toml"], {}), ([], {"NVCV_CACHED_CONFIG": f"{tmp_path}/no.toml"}):
        result = run("--check-config", *args, env=env)
        assert result.returncode == 2 and f"{tmp_path}/no.toml" in result.stderr, result


@pytest.mark.parametrize(
    "text, named",
    [
        ('limit = "8G"\n', ':1: limit: "8G" is ambiguous; do: write 8GiB or 8GB'),
        ('\nlimmit = "8GiB"\n', ":2: unknown key limmit; did you mean limit?"),
        ("limit = \n", ":1:"),
        ('[device.host]\npolicy = "fifo"\n', ':2: policy: "fifo"'),
        ('[device."GPU-elsewhere"]\nlimit = "8G"\n', ':2: limit: "8G" is ambiguous'),  # of no device here
        (
            '[device."cuda:0"]\nlimit = "8GiB"\n',
            ':1: device."cuda:0" is no device\'s own name; do: write [device."GPU-',
        ),
    ],
)
def test_file_ErrorsNameFileAndLine(tmp_path, text, named):
    file = tmp_path / "settings.toml"
    file.write_text(text)
    result = run("--check-config", f"--config={file}")
    assert result.returncode == 2, result
    assert f"{file}{named}" in result.stderr, result.stderr


def test_file_TheDeviceAndItsSectionInOneFileAreTwoSourcesThatConflict(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('device = "host"\n[device.host]\nlimit = "1MiB"\n')
    result = run("--check-config", f"--config={file}")
    assert result.returncode == 2 and 'leave "device" to --device or NVCV_CACHED_DEVICE' in result.stderr, result


def test_flags_RefusedOnesAreNamed():
    for flag, named in [
        ("--limit=8G", "--limit"),
        ("--limmit=1", "--limmit"),
        ("--quota=-5", "--quota"),
        ("serve", ""),
    ]:
        result = run(flag)
        assert result.returncode == 2 and named in result.stderr, result
    result = run("--check-config", env={"NVCV_CACHED_LIMIT": "8G"})
    assert result.returncode == 2 and "NVCV_CACHED_LIMIT" in result.stderr, result


def test_information_IsPrintedAndThatIsAll():
    version = run("--version")
    assert version.returncode == 0 and version.stdout.startswith("nvcv-cached ")
    text = run("--help")
    assert text.returncode == 0 and "Examples:" in text.stdout and "--drain-timeout" in text.stdout


def test_exit_4NoUsableDevice(tmp_path):
    result = run("--device=cuda:99", f"--socket={tmp_path}/x.sock")
    assert result.returncode == 4 and "cuda:99" in result.stderr, result


def test_exit_5NoRightToTheLock(tmp_path):
    result = run(f"--socket={tmp_path}/nowhere/host.sock")
    assert result.returncode == 5 and f"{tmp_path}/nowhere" in result.stderr, result
    (tmp_path / "host.sock").mkdir()
    result = run(f"--socket={tmp_path}/host.sock")
    assert result.returncode == 5 and "host.sock" in result.stderr, result


@pytest.mark.skipif(os.getuid() != 0, reason="another uid needs root")
def test_exit_5ADirectoryOfSomebodyElse(tmp_path):
    tmp_path.chmod(0o755)
    result = subprocess.run(
        [str(BIN / "nvcv-cached"), f"--socket={tmp_path}/host.sock"],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={**clean_environment(), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        user=12001,
        group=12001,
    )
    assert result.returncode == 5 and "12001" in result.stderr, result


def test_variables_UnknownOnesAreNamedAndTheClientsAreNot(workshop):
    daemon = workshop.daemon()
    daemon.terminate()
    os.environ.update(NVCV_CACHED_LIMITS="1", NVCV_CACHED_AUTOSTART="0")
    try:
        process = subprocess.Popen(daemon.command(), stderr=subprocess.PIPE, text=True)
        lines = []
        while not lines or " ready " not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.terminate()
        assert process.wait(20) == 0
    finally:
        del os.environ["NVCV_CACHED_LIMITS"], os.environ["NVCV_CACHED_AUTOSTART"]
        process.stderr.close()
    text = "".join(lines)
    assert "unknown-variable name=NVCV_CACHED_LIMITS" in text and "AUTOSTART" not in text, text


def test_variables_EachOfTheLibrarysIsKnown():
    """Who exports them for programs may start a daemon in the same shell."""
    header = (ROOT / "client" / "include" / "nvcv_cached" / "device.h").read_text()
    variables = re.findall(r"^///   (NVCV_CACHED_\w+) ", header, re.MULTILINE)
    assert len(variables) >= 8
    result = run("--check-config", env={**dict.fromkeys(variables, "host"), "NVCV_CACHED_LIMITS": "1"})
    said = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    assert result.returncode == 0 and said == ["warning: NVCV_CACHED_LIMITS is no setting's name"], result


@pytest.mark.skipif(any(group.gr_name == "nvcv" for group in grp.getgrall()), reason="there is a group nvcv here")
def test_group_OfTheSystemsDaemonThatIsNotThereIsSaid():
    assert "warning: there is no group nvcv here" in run("--check-config", "--system").stdout
    assert "warning" not in run("--check-config", "--system", "--group=none").stdout


def test_start_LinesSayWhatIsInForce(workshop):
    daemon = workshop.daemon(quota="8MiB")
    lines = [line.split(" ", 1)[1] for line in daemon.log_text().splitlines()]
    assert lines[0].startswith(f"INFO  start version=0.1.0 pid={daemon.process.pid} device=host name="), lines
    assert (
        lines[1] == "INFO  config limit=64.0MiB(flag) capacity=64.0MiB(flag) policy=lru(default) quota=8.00MiB(flag)"
    ), lines
    ready = next(line for line in lines if " ready " in line)
    assert ready.startswith(f"INFO  ready socket={daemon.socket} in="), lines


def test_limit_AboveTheDeviceIsAllowedWithAWarning(workshop):
    daemon = workshop.daemon(limit="900TiB")
    assert "limit 900TiB is above the device" in daemon.log_text()
    assert daemon.books().limit == 900 << 40


def test_settings_AreShownWithTheirOrigins(workshop):
    daemon = workshop.daemon()
    settings = daemon.books().raw["settings"]
    assert settings["limit"] == {"value": 64 * MIB, "origin": "flag"}
    assert settings["policy"] == {"value": "lru", "origin": "default"}
    daemon.ctl("policy", "clear")
    assert daemon.books().raw["settings"]["policy"] == {"value": "clear", "origin": "runtime"}
