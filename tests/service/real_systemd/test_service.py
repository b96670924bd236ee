"""The service as docs/operate.md starts, sets and asks it."""

import re
from pathlib import Path

from conditions import eventually
from machine import (
    SERVICE,
    SETTINGS,
    SOCKET,
    VARIABLES,
    active,
    command,
    cursor,
    journal,
    messages,
    pid,
    ready,
    restarts,
    run,
    shell,
    show,
    systemctl,
    write,
)


def test_EnableNow_ServesAtOnce():
    shell("systemctl enable --now nvcv-cached.target")
    shell("systemctl enable --now nvcv-cached@host")
    assert (active(SERVICE), active("nvcv-cached.target")) == ("active", "active")
    assert shell("nvcv-cachectl status --no-headers").startswith("host")
    shell("nvcv-cachectl ping --all")
    assert Path(f"/proc/{pid()}/status").read_text().count("CapEff:\t0000000000000000") == 1
    assert SOCKET.group() == "nvcv" and SOCKET.stat().st_mode & 0o777 == 0o660


def test_StatusTextIsTheDaemonsOwn(service, client):
    assert re.fullmatch(r"0 sessions, 0B of [\d.]+GiB cached, pool 0B", show(service, "StatusText"))
    run("usermod", "-aG", "nvcv", "alice")
    one = client("alice")
    one.buffer(1 << 20)
    eventually(
        lambda: re.match(r"1 sessions, 1\.00MiB of .*, pool 64\.0MiB", show(service, "StatusText")), "one session"
    )


def test_JournalLinesHaveTheirPriorities(service):
    lines = [(entry["PRIORITY"], entry["MESSAGE"]) for entry in journal() if entry.get("_COMM") == "nvcv-cached"]
    assert any(text.startswith("INFO  ready") for _, text in lines)
    start = cursor()
    write(VARIABLES, "NVCV_CACHED_NO_SUCH=1\n")
    systemctl("restart", service)
    write(SETTINGS, "no-such-key = 1\n")
    command("systemctl", "reload", service)
    eventually(lambda: "ERROR" in messages(after=start), "the refused file is in the log")
    ours = [entry for entry in journal(after=start) if entry.get("_COMM") == "nvcv-cached"]
    levels = {entry["MESSAGE"].split()[0]: entry["PRIORITY"] for entry in ours}
    assert levels == {"INFO": "6", "WARN": "4", "ERROR": "3"}, levels
    assert "unknown-variable" in messages(after=start)


def test_SettingsComeFromTheFileAndTheVariables(service):
    write(SETTINGS, 'limit = "300MiB"\nquota = "200MiB"\n')
    write(VARIABLES, "NVCV_CACHED_QUOTA=100MiB\n")
    assert "300MiB" in shell("nvcv-cached --check-config --config /etc/nvcv-cached/nvcv-cached.toml")
    systemctl("restart", service)
    config = shell("nvcv-cachectl config")
    assert re.search(r"limit +300MiB +file", config), config
    assert re.search(r"quota +100MiB +env", config), config
    write(SETTINGS, 'limit = "8G"\n')
    assert command("nvcv-cached", "--check-config", "--config", SETTINGS).returncode == 2


def test_Reload_TakesAGoodFile(service):
    before = pid()
    write(SETTINGS, 'limit = "200MiB"\n')
    shell("systemctl reload nvcv-cached@host")
    eventually(lambda: "200MiB" in shell("nvcv-cachectl limit"), "the new limit is in force")
    assert (pid(), active(service)) == (before, "active")


def test_Reload_KeepsEverythingWithABadFile(service):
    write(SETTINGS, 'limit = "200MiB"\n')
    systemctl("reload", service)
    eventually(lambda: "200MiB" in shell("nvcv-cachectl limit"), "the first limit is in force")
    before, start = pid(), cursor()
    write(SETTINGS, 'limit = "100MiB"\nlimmit = "8GiB"\n')
    systemctl("reload", service)
    eventually(lambda: "nvcv-cached.toml:2" in messages(after=start), "the log names file and line")
    assert "200MiB" in shell("nvcv-cachectl limit")
    assert (pid(), active(service)) == (before, "active")


def test_ABadSettingAtStart_FailsOnceWithItsLine(service):
    start = cursor()
    write(SETTINGS, 'limit = "8G"\n')
    assert command("systemctl", "restart", service).returncode != 0
    assert (active(service), show(service, "ExecMainStatus")) == ("failed", "2")
    assert restarts() == 0
    assert "write 8GiB or 8GB" in messages(after=start)


def test_ASecondDaemon_FailsOnceAndNamesTheFirst(service):
    """A daemon started by hand has the device: exit 3, and no loop of restarts."""
    systemctl("stop", service)
    first = "runuser -u nvcv -- nvcv-cached --system --device host"
    run("systemd-run", "--unit=by-hand", "--property=Type=notify", "--property=NotifyAccess=all", *first.split())
    try:
        start = cursor()
        assert command("systemctl", "start", service).returncode != 0
        assert (active(service), show(service, "ExecMainStatus")) == ("failed", "3")
        assert restarts() == 0
        text = messages(after=start)
        assert "no-lock" in text and str(SOCKET) in text, text
    finally:
        systemctl("stop", "by-hand")
    systemctl("reset-failed", service)
    systemctl("start", service)
    ready()


def test_SecurityScoreOfTheRunningServiceIsTwoAtMost(service):
    for unit in (service, "nvcv-cached-exporter.service"):
        text = run("systemd-analyze", "security", "--no-pager", "--threshold=20", unit)
        score = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
        print(unit, score.group(1))
        assert float(score.group(1)) <= 2.0
