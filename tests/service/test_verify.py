"""systemd's units in a root of their own, installed as `make install` and the packages do it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from units import settings

BUILD = Path(os.environ["NVCV_CACHED_BIN"]).parent
INSTANCES = ["nvcv-cached@cuda:0.service", "nvcv-cached@GPU-8932f937-0001.service", "nvcv-cached@host.service"]
USER_INSTANCES = ["nvcv-cached@host.service", "nvcv-cached@host.socket", "nvcv-cached@GPU-8932f937-0001.socket"]


def run(*command, **environment):
    return subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A machine's root with our installation, the manager's own targets and nothing else."""
    made = tmp_path_factory.mktemp("root")
    installed = run(os.environ["NVCV_CACHED_TEST_CMAKE"], "--install", BUILD, "--prefix", made / "usr")
    assert installed.returncode == 0, installed.stderr
    (made / "lib").symlink_to("usr/lib")
    for scope in ("system", "user"):
        for target in Path(f"/usr/lib/systemd/{scope}").glob("*.target"):
            shutil.copy(target, made / "usr/lib/systemd" / scope, follow_symlinks=True)
    shutil.copy(shutil.which("kill"), made / "usr/bin/kill")
    return made


def unit(root, name, scope="system"):
    template, _, suffix = name.partition("@")
    file = f"{template}@.{suffix.rpartition('.')[2]}" if suffix else name
    return root / "usr/lib/systemd" / scope / file


def verify(root, name):
    # FILE:NAME, as the colon of cuda:0 would be taken for this
    return run("systemd-analyze", "verify", "--man=no", f"--root={root}", f"{unit(root, name)}:{name}")


@pytest.mark.parametrize("name", [*INSTANCES, "nvcv-cached.target", "nvcv-cached-exporter.service"])
def test_verify_SystemUnitsAreClean(root, name):
    result = verify(root, name)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", ""), result


@pytest.mark.parametrize("name", USER_INSTANCES)
def test_verify_UserUnitsAreClean(root, name, tmp_path):
    # A user's manager takes no other root, so here the program has its path.
    folder = tmp_path / "user"
    shutil.copytree(root / "usr/lib/systemd/user", folder)
    service = folder / "nvcv-cached@.service"
    service.write_text(service.read_text().replace("ExecStart=nvcv", f"ExecStart={root}/usr/bin/nvcv"))
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "SYSTEMD_UNIT_PATH": f"{folder}:"}
    file = folder / unit(root, name, "user").name
    result = run("systemd-analyze", "--user", "verify", "--man=no", f"{file}:{name}", **environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", ""), result


def test_verify_SeesAMisspeltKey(root, tmp_path):
    """The check above can fail at all."""
    broken = tmp_path / "root"
    shutil.copytree(root, broken, symlinks=True)
    path = unit(broken, INSTANCES[0])
    path.write_text(path.read_text().replace("WatchdogSec", "WatchdogSek"))
    assert "WatchdogSek" in verify(broken, INSTANCES[0]).stderr


@pytest.mark.parametrize("name", [*INSTANCES[1:], "nvcv-cached-exporter.service"])
def test_security_IsTwoAtMost(root, name):
    result = run("systemd-analyze", "security", "--offline=true", "--threshold=20", f"--root={root}", name)
    assert result.returncode == 0, result.stdout[-300:] + result.stderr
    assert "Overall exposure level" in result.stdout


def test_daemon_HasWhatOperatorsRelyOn(root):
    service = settings(unit(root, INSTANCES[0]))["Service"]
    expected = {
        "Type": "notify",
        "ExecStart": "nvcv-cached --system --device=%i",
        "WatchdogSec": "10",
        "RestartPreventExitStatus": "2 3 5",
        "TimeoutStopSec": "45",
        "OOMScoreAdjust": "-900",
        "User": "nvcv",
        "RuntimeDirectory": "nvcv-cached",
        "RuntimeDirectoryPreserve": "yes",
        "PrivateNetwork": "yes",
        "RestrictAddressFamilies": "AF_UNIX",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "SystemCallFilter": "@system-service",
        "DevicePolicy": "closed",
        "DeviceAllow": "char-nvidia* rw",
    }
    assert {key: service.get(key) for key in expected} == expected
    for never in ("PrivateDevices", "PrivateUsers", "ProtectProc", "MemoryDenyWriteExecute"):
        assert never not in service
    after = settings(unit(root, INSTANCES[0]))["Unit"]["After"]
    assert "nvidia-persistenced.service" in after.split()


def test_exporter_IsAUserOfItsOwnWithoutRights(root):
    service = settings(unit(root, "nvcv-cached-exporter.service"))["Service"]
    expected = {
        "DynamicUser": "yes",
        "SupplementaryGroups": "nvcv",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    }
    assert {key: service.get(key) for key in expected} == expected


def test_install_NothingIsEnabled(root):
    assert not list((root / "usr/lib/systemd").rglob("*.wants")), "a package's units wait for their operator"


def test_sysusers_MakeTheDaemonsUser(root, tmp_path):
    (tmp_path / "etc").mkdir()
    file = root / "usr/lib/sysusers.d/nvcv-cached.conf"
    made = run("systemd-sysusers", f"--root={tmp_path}", file)
    assert made.returncode == 0, made.stderr
    assert "nvcv:" in (tmp_path / "etc/passwd").read_text()
    groups = dict(line.split(":", 1) for line in (tmp_path / "etc/group").read_text().splitlines())
    assert "nvcv" in groups and groups["video"].endswith(":nvcv")


@pytest.mark.skipif(os.getuid() != 0, reason="another's directory needs root")
def test_tmpfiles_MakeTheSocketsDirectory(root, tmp_path):
    (tmp_path / "etc").mkdir()
    assert run("systemd-sysusers", f"--root={tmp_path}", root / "usr/lib/sysusers.d/nvcv-cached.conf").returncode == 0
    made = run("systemd-tmpfiles", "--create", f"--root={tmp_path}", root / "usr/lib/tmpfiles.d/nvcv-cached.conf")
    assert made.returncode == 0, made.stderr
    uid = int((tmp_path / "etc/passwd").read_text().split("nvcv:x:")[1].split(":")[0])
    found = (tmp_path / "run/nvcv-cached").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (uid, 0o755)
