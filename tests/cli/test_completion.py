"""`nvcv-cachectl completion SHELL` in real shells: typed at a terminal, completed by the Tab key, run.

The script comes from the real program. What the shell then runs is a stand-in of the same name that writes down its
arguments: they are what the person would have got.
"""

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess

import pytest
from conditions import eventually
from control import control

PROMPT = b"ready>"
STAND_IN = '#!/bin/sh\necho "$*" >"$SEEN.part" && mv "$SEEN.part" "$SEEN"\n'
SET_UP = {
    "bash": (
        "PS1='ready>'\nbind 'set enable-bracketed-paste off'\nsource {script}\n",
        ["--noprofile", "--rcfile", "{rc}"],
    ),
    "zsh": ("PS1='ready>'\nfpath=({folder} $fpath)\nautoload -Uz compinit && compinit -u -D\n", ["-d"]),
    "fish": (
        "function fish_prompt\n echo -n 'ready>'\nend\nset fish_greeting\nsource {script}\n",
        ["-C", "source {rc}"],
    ),
}


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, command, environment):
        self.shown = b""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.execvpe(command[0], command, environment)

    def read(self):
        with contextlib.suppress(OSError):  # the shell is gone
            if select.select([self.terminal], [], [], 0.05)[0]:
                self.shown += os.read(self.terminal, 65536)
        return self.shown

    def close(self):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.terminal)


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request, tmp_path):
    """Types a line at the shell; the arguments that the program then has (zsh joins a flag and its value by "=")."""
    name = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    script = tmp_path / "_nvcv-cachectl"
    script.write_text(control("completion", name).stdout)
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "nvcv-cachectl"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    (tmp_path / "a socket").touch()
    rc = tmp_path / ".zshrc"
    text, arguments = SET_UP[name]
    rc.write_text(text.format(script=script, folder=tmp_path))
    seen = tmp_path / "seen"
    environment = {
        "PATH": f"{stand_in.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "ZDOTDIR": str(tmp_path),
        "TERM": "xterm",
        "SEEN": str(seen),
    }
    terminal = Terminal([name, *(argument.format(rc=rc) for argument in arguments), "-i"], environment)

    def say(keys):
        seen.unlink(missing_ok=True)
        prompts = terminal.shown.count(PROMPT)
        eventually(lambda: terminal.read().count(PROMPT) > prompts or prompts, f"{name} prompts: {terminal.shown!r}")
        os.write(terminal.terminal, keys.encode())
        try:
            return eventually(
                lambda: terminal.read() and seen.exists() and seen.read_text().strip().replace("=", " "), keys
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{terminal.shown.decode(errors='replace')}") from None

    yield say
    terminal.close()


def test_CompletesACommandAFlagAndAValue(shell):
    assert shell("nvcv-cachectl pol\tcl\t\r") == "policy clear"
    assert shell("nvcv-cachectl lea\t--sta\tqu\t\r") == "leases --state quarantined"
    assert shell("nvcv-cachectl --out\tjs\tstatu\t\r") == "--output json status"
    assert shell("nvcv-cachectl status -o wi\t\r") == "status -o wide"


def test_CompletesAFilesName(shell, tmp_path):
    assert shell(f"nvcv-cachectl --address {tmp_path}/a\\ so\t status\r") == f"--address {tmp_path}/a socket status"


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_TheScriptKnowsEveryCommandAndFlag(name):
    """Held against --help, which the parser writes by itself."""
    script = control("completion", name).stdout
    words = control("--help").stdout.split()
    commands = [
        line.split()[0]
        for line in control("--help").stdout.split("Subcommands:")[1].split("\n\n")[0].split("\n")
        if line
    ]
    assert len(commands) > 15
    for command in commands:
        assert re.search(rf"(?<![\w-]){command}(?![\w-])", script), command
        words += control(command, "--help").stdout.split("Exit:")[0].split()
    flags = {flag for word in words for flag in word.split(",") if flag.startswith("--") and flag.strip("-")}
    for flag in flags:
        wanted = f"-l {flag[2:]}" if name == "fish" else flag
        assert re.search(rf"(?<![\w-]){wanted}(?![\w-])", script), flag


def test_AnotherShellIsAnErrorThatNamesTheThree():
    found = control("completion", "csh")
    assert found.returncode == 2
    assert "bash,zsh,fish" in found.stderr
    assert (
        subprocess.run(["bash", "-n"], input=control("completion", "bash").stdout, text=True, check=False).returncode
        == 0
    )
