"""The completion of both programs in real shells: typed at a terminal, completed by the Tab key, run.

The scripts come from the real programs. What the shell then runs is a stand-in of the same name that writes down its
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
from control import control, run

PROMPT = b"ready>"
PROGRAMS = {"nvcv-cachectl": ["completion"], "nvcv-cached": ["--completion"]}
NVIDIA_SMI = """#!/bin/sh
test "$*" = "--query-gpu=index,uuid --format=csv,noheader" || exit 2
test -z "$NO_DRIVER" || { echo "NVIDIA-SMI has failed because it could not talk to the driver."; exit 9; }
echo "0, GPU-11112222-aaaa"
echo "1, GPU-33334444-bbbb"
"""
STAND_IN = '#!/bin/sh\necho "$*" >"$SEEN.part" && mv "$SEEN.part" "$SEEN"\n'
SET_UP = {
    "bash": (
        "PS1='ready>'\nbind 'set enable-bracketed-paste off'\n{source}\n",
        ["--noprofile", "--rcfile", "{rc}"],
    ),
    "zsh": ("PS1='ready>'\nfpath=({folder} $fpath)\nautoload -Uz compinit && compinit -u -D\n", ["-d"]),
    "fish": (
        "function fish_prompt\n echo -n 'ready>'\nend\nset fish_greeting\n{source}\n",
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
    (tmp_path / "bin").mkdir()
    for program, text in (*((program, STAND_IN) for program in PROGRAMS), ("nvidia-smi", NVIDIA_SMI)):
        stand_in = tmp_path / "bin" / program
        stand_in.write_text(text)
        stand_in.chmod(0o755)
    scripts = [tmp_path / f"_{program}" for program in PROGRAMS]
    for script in scripts:
        script.write_text(script_of(script.name[1:], name))
    (tmp_path / "a socket").touch()
    rc = tmp_path / ".zshrc"
    text, arguments = SET_UP[name]
    rc.write_text(text.format(source="\n".join(f"source {script}" for script in scripts), folder=tmp_path))
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


def test_CompletesTheDaemonsFlagsAndTheirValues(shell):
    assert shell("nvcv-cached --pol\tcl\t\r") == "--policy clear"
    assert shell("nvcv-cached --dom\tcg\t --log-f\tjs\t --sys\t\r") == "--domain cgroup --log-format json --system"
    assert shell("nvcv-cached --dev\tho\t --check\t\r") == "--device host --check-config"


def test_CompletesADevice(shell):
    assert shell("nvcv-cached --device al\t\r") == "--device all"
    assert shell("nvcv-cached --device cuda:1\t --check\t\r") == "--device cuda:1 --check-config"
    assert shell("nvcv-cached --device GPU-3\t\r") == "--device GPU-33334444-bbbb"
    assert shell("nvcv-cachectl -d GPU-1\t stat\tu\t\r") == "-d GPU-11112222-aaaa status"
    assert shell("nvcv-cachectl -d cud\t0\t pi\t\r") == "-d cuda:0 ping"


def test_CompletesADeviceWhereNvidiaSmiFails(shell):
    assert shell("export NO_DRIVER=1; nvcv-cached --device h\t\r") == "--device host"


def test_CompletesAFilesName(shell, tmp_path):
    assert shell(f"nvcv-cachectl --address {tmp_path}/a\\ so\t status\r") == f"--address {tmp_path}/a socket status"
    assert shell(f"nvcv-cached --socket {tmp_path}/a\\ so\t --system\r") == f"--socket {tmp_path}/a socket --system"


def script_of(program, shell):
    return run(program, *PROGRAMS[program], shell).stdout


def flags_in(text):
    return {flag for word in text.split() for flag in word.split(",") if flag.startswith("--") and flag.strip("-")}


def says(script, word):
    return re.search(rf"(?<![\w-]){word}(?![\w-])", script)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_TheScriptKnowsEveryCommandAndFlag(name):
    """Held against --help, which the parser writes by itself."""
    script = script_of("nvcv-cachectl", name)
    text = control("--help").stdout
    commands = [line.split()[0] for line in text.split("Subcommands:")[1].split("\n\n")[0].split("\n") if line]
    assert len(commands) > 15
    flags = flags_in(text)
    for command in commands:
        assert says(script, command), command
        flags |= flags_in(control(command, "--help").stdout.split("Exit:")[0])
    daemons = flags_in(run("nvcv-cached", "--help").stdout.split("Every KEY is")[0])
    assert len(daemons) > 18
    for found, of in ((script, flags), (script_of("nvcv-cached", name), daemons)):
        for flag in of:
            assert says(found, f"-l {flag[2:]}" if name == "fish" else flag), flag


@pytest.mark.parametrize("program", PROGRAMS)
def test_AnotherShellIsAnErrorThatNamesTheThree(program):
    found = run(program, *PROGRAMS[program], "csh")
    assert found.returncode == 2
    assert "bash,zsh,fish" in found.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_BashScriptIsWellFormed(program):
    checked = subprocess.run(["bash", "-n"], input=script_of(program, "bash"), text=True, check=False)
    assert checked.returncode == 0
