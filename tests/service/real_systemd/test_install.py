"""apt installs the packages on a machine that runs: what is there then, and what is not."""

import grp
import pwd
from pathlib import Path

from machine import command, run, shell, systemctl


def test_AptInstallsThem_AndSystemdKnowsTheUnits():
    shell("DEBIAN_FRONTEND=noninteractive apt-get install -y /packages/*.deb")
    assert systemctl("list-unit-files", "nvcv-cached*").count(" disabled ") == 3
    assert "nvcv-cached@.service" in systemctl("cat", "nvcv-cached@host.service")


def test_TheUserAndHisDirectoryAreThere():
    user = pwd.getpwnam("nvcv")
    assert user.pw_shell.endswith("nologin") and user.pw_uid < 1000
    assert "nvcv" in grp.getgrnam("video").gr_mem
    folder = Path("/run/nvcv-cached").stat()
    assert (folder.st_uid, folder.st_mode & 0o777) == (user.pw_uid, 0o755)


def test_NothingIsEnabledOrStarted():
    assert not list(Path("/etc/systemd").rglob("*nvcv-cached*"))
    assert "0 loaded units" in systemctl("list-units", "nvcv-cached*")
    assert command("pgrep", "-x", "nvcv-cached").returncode == 1


def test_VerifyOfTheInstalledUnitsIsClean():
    for name in ("nvcv-cached@host.service", "nvcv-cached.target", "nvcv-cached-exporter.service"):
        found = command("systemd-analyze", "verify", name)
        assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_ThePagesAndCompletionAreFound():
    for page in ("nvcv-cached.8", "nvcv-cachectl.1"):
        assert run("man", "-w", page).strip()
    assert "_nvcv" in shell(". /usr/share/bash-completion/completions/nvcv-cachectl; complete -p nvcv-cachectl")
