"""The machine as its operator has it: systemctl, journalctl, users, and clients that run as them.

The tests run as root on a machine of their own (`run` beside this file makes it) and change it as they go: files run
in the order that `run` names, tests in the order in which they stand.
"""

import json
import os
import pwd
import re
import subprocess
from pathlib import Path

from clients import LineProcess
from conditions import eventually

SOCKET = Path("/run/nvcv-cached/host.sock")
SERVICE = "nvcv-cached@host.service"
SETTINGS = Path("/etc/nvcv-cached/nvcv-cached.toml")
VARIABLES = Path("/etc/default/nvcv-cached")
MIB = 1 << 20


def command(*words, timeout=120, **options):
    """A command's result, whatever it is."""
    return subprocess.run(
        [str(word) for word in words], check=False, capture_output=True, text=True, timeout=timeout, **options
    )


def run(*words, **options):
    """A command that succeeds; its output."""
    found = command(*words, **options)
    assert found.returncode == 0, f"{words}: exit {found.returncode}\n{found.stdout}{found.stderr}"
    return found.stdout


def shell(line, user=None):
    """A line of a page, as somebody types it: root, or a user who has logged in (in the groups that are his by then)."""
    words = ["bash", "-euo", "pipefail", "-c", line]
    return run(*words) if user is None else run("runuser", "--login", user, "-c", line)


def systemctl(*words):
    return run("systemctl", "--no-pager", *words)


def show(unit, key):
    return systemctl("show", "--value", "-p", key, unit).strip()


def active(unit):
    return show(unit, "ActiveState")


def pid(unit=SERVICE):
    return int(show(unit, "MainPID"))


def restarts(unit=SERVICE):
    return int(show(unit, "NRestarts"))


def journal(unit=SERVICE, after=None):
    """Entries of a unit: those of its processes and those of the manager about it."""
    words = ["journalctl", "--no-pager", "-b", "-o", "json", "-u", unit]
    run("journalctl", "--sync")
    found = [json.loads(line) for line in run(*words, *([f"--after-cursor={after}"] if after else [])).splitlines()]
    return [entry for entry in found if isinstance(entry.get("MESSAGE"), str)]


def cursor():
    run("journalctl", "--sync")
    text = run("journalctl", "--no-pager", "-b", "-n", "0", "--show-cursor")
    return re.search(r"cursor: (\S+)", text).group(1)


def messages(unit=SERVICE, after=None):
    return "\n".join(entry["MESSAGE"] for entry in journal(unit, after))


def add_user(name, *groups):
    try:
        pwd.getpwnam(name)
    except KeyError:
        run("useradd", "--create-home", "--shell", "/bin/bash", name)
    for group in groups:
        run("usermod", "-aG", group, name)


class Client(LineProcess):
    """A program with the library, run by a user; it finds the daemon by itself."""

    def __init__(self, user, name="client", **environment):
        entry = pwd.getpwnam(user)
        groups = os.getgrouplist(user, entry.pw_gid)
        settings = {"NVCV_CACHED_AUTOSTART": "0", "NVCV_CACHED_NAME": name, "NVCV_CACHED_TIMEOUT": "5s"}
        super().__init__(
            "/usr/local/bin/e2e_probe",
            f"/tmp/{name}.log",
            {**settings, "HOME": entry.pw_dir, **environment},
            user=entry.pw_uid,
            group=entry.pw_gid,
            extra_groups=groups,
        )

    def buffer(self, size_bytes):
        return self.call("buffer", 1, size_bytes)["ids"][0]


def ready(unit=SERVICE):
    eventually(lambda: active(unit) == "active", f"{unit} is active", timeout=60)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
