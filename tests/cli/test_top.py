"""`nvcv-cachectl top` on a real terminal (tmux): what it shows, its keys, and that it gives the terminal back."""

import os
import re
import shutil
import signal

import pytest
from conditions import MIB, eventually, process_state
from control import control

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@pytest.fixture
def daemon(workshop):
    made = workshop.daemon()
    made.probe("a-small").buffer(MIB)
    big = made.probe("big")
    big.buffer(5 * MIB)
    big.idle(2 * MIB)
    return made


@pytest.fixture
def terminal():
    from terminal import Terminal

    made = []

    def open_one(**arguments):
        made.append(Terminal(**arguments))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


@pytest.fixture
def top(daemon, terminal):
    """Top on a terminal, with its first samples shown."""

    def begin(**arguments):
        made = terminal(**arguments)
        made.type("--address", daemon.socket, "top")
        made.shows("host", "serving", "60 s", "q quit", "evict", "big")
        return made

    return begin


def row_of(screen, word):
    return next((number for number, line in enumerate(screen.splitlines()) if f" {word} " in line), None)


def test_ShowsBarsRatesAndSessionsByBytes(top):
    screen = top().shows("a-small", "big")
    lines = screen.splitlines()
    assert lines[0].startswith("host  serving") and "lru" in lines[0]
    assert "hits 0/s  miss 0/s  evict 0/s" in lines[0]
    assert lines[1].startswith("pool   [█") and "64.0MiB" in lines[1]
    assert "8.00MiB / 64.0MiB   in use 6.00MiB  idle 2.00MiB" in lines[2]
    assert row_of(screen, "big") < row_of(screen, "a-small")
    assert "5.00MiB  idle 2.00MiB" in lines[row_of(screen, "big")]


def test_RatesAndTheSparklineFollowTheWork(top, daemon):
    shown = top()
    running = daemon.clients[0].start("loop", 20_000_000, MIB)
    eventually(lambda: "hits 0/s" not in shown.text(), "hits are counted")
    eventually(lambda: "█" in shown.lines()[3], "the sparkline rises")
    running.result(120)


def test_KeysSortAndChoose(top):
    shown = top()
    shown.press("s", "s", "s")
    eventually(lambda: "s sort (name)" in shown.text(), "sorted by name")
    screen = shown.text()
    assert row_of(screen, "a-small") < row_of(screen, "big")
    shown.press("l")
    shown.shows("leases of session", f"Buffer {MIB}")
    shown.press("Down")
    shown.shows(f"Buffer {5 * MIB}", f"Buffer {2 * MIB}", "idle")
    assert f"Buffer {MIB}" not in shown.text(), "the other's"
    shown.press("m")
    shown.shows("memory map", "[####")
    shown.press("?")
    shown.shows("keys", "choose a session")
    shown.press("Escape")
    eventually(lambda: "choose a session" not in shown.text(), "back to the sessions")


def test_PauseStandsStill(top, daemon):
    shown = top()
    shown.press("p")
    shown.shows("paused")
    daemon.probe("latecomer").buffer(MIB)
    before = shown.text()
    beside = top()  # looks as often as the one that stands still
    beside.shows("latecomer")
    daemon.probe("later").buffer(MIB)
    beside.shows("later ")
    assert "latecomer" not in before and shown.text() == before
    shown.press("p")
    shown.shows("latecomer")


@pytest.mark.parametrize("ending", ["q", "C-c", signal.SIGTERM, signal.SIGHUP])
def test_GivesTheTerminalBack(top, ending):
    shown = top()
    pid = shown.pid_of()
    assert shown.alternate() == ["1", "0"]
    if isinstance(ending, str):
        shown.press(ending)
    else:
        os.kill(pid, ending)
    eventually(lambda: process_state(pid) == "-", "it has ended")
    eventually(lambda: shown.alternate() == ["0", "1"], "the shell's screen, with its cursor")
    shown.enter("echo typed; stty -a | grep -o ' echo '")
    shown.shows("\ntyped", "\n echo")


def test_SuspendsAndContinues(top):
    shown = top()
    pid = shown.pid_of()
    shown.press("C-z")
    eventually(lambda: process_state(pid) == "T", "it has stopped")
    eventually(lambda: shown.alternate()[0] == "0", "the shell's screen")
    shown.enter("fg")
    eventually(lambda: shown.alternate()[0] == "1", "it is back")
    shown.shows("host", "q quit")
    shown.press("q")
    eventually(lambda: process_state(pid) == "-", "it has ended")


def test_FollowsTheWindowsSize(top):
    shown = top(columns=120, rows=30)
    for columns, rows in ((60, 12), (30, 6), (10, 3), (140, 40)):
        shown.resize(columns, rows)
        eventually(
            lambda rows=rows: (
                len(lines := shown.lines()) <= rows and lines[0].startswith("host") and "s sort" in lines[-1]
            ),
            f"{columns} x {rows}",
        )
    shown.shows("big", "small", "miss 0/s", "? help  q quit")


def test_SurvivesARestartOfTheDaemon(top, daemon):
    shown = top()
    daemon.kill()
    shown.shows("shown is its last answer")
    daemon.start()
    eventually(lambda: "shown is its last answer" not in shown.text(), "it found the new one")
    screen = shown.shows("serving", "evict")
    assert "hits 0/s" in screen


def test_SaysWhenADaemonDoesNotAnswer(top, daemon):
    shown = top()
    daemon.stop()
    shown.shows("no answer since")
    shown.press("q")
    eventually(lambda: shown.alternate()[0] == "0", "it leaves all the same")
    daemon.resume()


def test_NoColorAndOtherLocales(top):
    plain, coloured = top(NO_COLOR="1", LC_ALL="C"), top()
    screen = plain.shows("pool   [###", "[######")
    assert screen.isascii()
    for shown in (plain, coloured):  # of what is drawn without trouble nothing has a colour
        shown.press("p")
        shown.shows("paused")
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert colour.search(coloured.text(styles=True))
    assert not colour.search(plain.text(styles=True))


def test_OneLookIsText(daemon, terminal):
    result = control("--address", daemon.socket, "top", "-n", "1", env={"LC_ALL": "C"})
    assert result.returncode == 0 and "\x1b" not in result.stdout, result
    assert result.stdout.startswith("host  serving") and "evict 0/s" in result.stdout
    assert "[##########+++" in result.stdout or "[#########+++" in result.stdout
    shown = terminal()
    shown.type("--address", daemon.socket, "top", "-n", "1")
    shown.shows("host  serving", "evict 0/s", "\n$")
    blocks = control("--address", daemon.socket, "top", "-n", "2").stdout
    assert blocks.count("pool   [") == 2


def test_WhatItCannotDo(daemon):
    assert control("--address", daemon.socket, "top", "-o", "json").returncode == 2
    assert control("--address", daemon.socket, "top", "-w").returncode == 2
    assert control("--address", daemon.directory / "none.sock", "top").returncode == 4
