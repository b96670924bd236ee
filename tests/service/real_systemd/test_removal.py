"""The packages leave a machine where their units run."""

import grp
import pwd
from pathlib import Path

from conditions import eventually
from machine import MIB, SERVICE, SETTINGS, command, ready, shell, systemctl, write


def left(folder):
    return [path for path in Path(folder).rglob("*") if "nvcv" in path.name.lower() and "doc" not in path.parts]


def test_Remove_StopsTheDaemonsAndKeepsTheSettings(client):
    write(SETTINGS, 'limit = "200MiB"\n')
    ready(SERVICE)
    one = client("alice")
    item = one.buffer(MIB)
    one.call("fill", item, 7)
    one.call("drop", item)
    found = shell(
        "DEBIAN_FRONTEND=noninteractive apt-get remove -y nvcv-cached libnvcv-cached0 libnvcv-cached-dev 2>&1"
    )
    assert "Failed" not in found and "warning" not in found.lower(), found
    assert command("pgrep", "-x", "nvcv-cached").returncode == 1
    assert command("pgrep", "-x", "nvcv-cachectl").returncode == 1
    assert "nvcv-cached" not in systemctl("list-units", "--all", "nvcv-cached*").replace("nvcv-cached*", "")
    assert not left("/etc/systemd") and not left("/usr")
    assert SETTINGS.exists()


def test_Purge_LeavesTheUserAlone():
    shell("DEBIAN_FRONTEND=noninteractive apt-get purge -y nvcv-cached libnvcv-cached0")
    assert not SETTINGS.parent.exists() and not left("/etc") and not left("/var/lib/dpkg/info")
    assert pwd.getpwnam("nvcv") and grp.getgrnam("nvcv")


def test_ItComesBackAfterAPurge():
    shell("DEBIAN_FRONTEND=noninteractive apt-get install -y /packages/*.deb")
    assert not list(Path("/etc/systemd").rglob("*nvcv-cached*")), "nothing is enabled"
    systemctl("start", SERVICE)
    eventually(lambda: command("nvcv-cachectl", "ping").returncode == 0, "it serves")


def test_Purge_OfARunningService():
    write(SETTINGS, 'limit = "200MiB"\n')
    shell("systemctl enable --now nvcv-cached.target nvcv-cached@host nvcv-cached-exporter")
    shell("systemctl --global enable nvcv-cached@host.socket")
    shell("DEBIAN_FRONTEND=noninteractive apt-get purge -y nvcv-cached libnvcv-cached0 libnvcv-cached-dev")
    assert command("pgrep", "-x", "nvcv-cached").returncode == 1
    assert not left("/etc") and not left("/usr") and not left("/var/lib/dpkg/info")
    assert "nvcv" not in systemctl("list-units", "--failed")
