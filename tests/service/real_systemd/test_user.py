"""A user's own daemon under the user's own manager."""

import pwd
from pathlib import Path

import pytest
from conditions import eventually
from machine import MIB, SERVICE, command, ready, run, shell, systemctl


@pytest.fixture(scope="module", autouse=True)
def session():
    """Bob's manager runs; the machine's daemon, which he may not use, does not."""
    systemctl("stop", SERVICE)
    shell("loginctl enable-linger bob")
    eventually(
        lambda: command("systemctl", "--user", "-M", "bob@", "is-system-running").stdout.strip() == "running",
        "his manager",
    )
    yield
    shell("loginctl disable-linger bob")
    systemctl("start", SERVICE)
    ready()


def bob(*words):
    return run("systemctl", "--no-pager", "--user", "-M", "bob@", *words)


def runtime():
    return Path(f"/run/user/{pwd.getpwnam('bob').pw_uid}")


def state(unit):
    return bob("show", "--value", "-p", "ActiveState", unit).strip()


def test_TheFirstClientStartsTheDaemonBehindTheSocket(client):
    bob("enable", "--now", "nvcv-cached@host.socket")
    assert state("nvcv-cached@host.service") == "inactive"
    folder = runtime() / "nvcv-cached"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in folder.glob("*.sock*")} >= {"host.sock", "host.sock.fd"}
    one = client("bob", "bobs", XDG_RUNTIME_DIR=str(runtime()))
    item = one.buffer(MIB)
    one.call("fill", item, 7)
    assert one.call("check", item, 7)["wrong"] == 0
    assert state("nvcv-cached@host.service") == "active"
    text = ["show", "--value", "-p", "StatusText", "nvcv-cached@host.service"]
    eventually(lambda: bob(*text).startswith("1 sessions"), "the daemon's own status")


def test_TheSocketOutlivesTheDaemon(client):
    bob("stop", "nvcv-cached@host.service")
    assert state("nvcv-cached@host.socket") == "active"
    one = client("bob", "again", XDG_RUNTIME_DIR=str(runtime()))
    one.buffer(MIB)
    assert state("nvcv-cached@host.service") == "active"


def test_AStoppedSocketIsGone():
    bob("disable", "--now", "nvcv-cached@host.socket")
    bob("stop", "nvcv-cached@host.service")
    assert not list((runtime() / "nvcv-cached").glob("*.sock"))


def test_WithoutASocketTheServiceServes(client):
    bob("start", "nvcv-cached@host")
    one = client("bob", "third", XDG_RUNTIME_DIR=str(runtime()))
    one.buffer(MIB)
    bob("reload", "nvcv-cached@host")
    one.close()
    bob("stop", "nvcv-cached@host")
    assert "ready" in run("journalctl", "--no-pager", "_SYSTEMD_USER_UNIT=nvcv-cached@host.service")
