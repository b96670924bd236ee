"""How nvcv-cachectl prints: tables, JSON by its schema, sorting, cutting, colour, errors."""

import json
import subprocess
from pathlib import Path

import pytest
from conditions import BIN, KIB, MIB, clean_environment
from control import control, table
from schema import check

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "stats.schema.json").read_text())


@pytest.fixture
def busy(workshop):
    """A daemon with two clients: a holds three buffers, b leaves one idle."""
    daemon = workshop.daemon()
    daemon.a, daemon.b = daemon.probe("alpha"), daemon.probe("beta")
    for size in (MIB, 3 * MIB, 2 * MIB):
        daemon.a.buffer(size)
    daemon.b.idle(MIB)
    daemon.say = lambda *args, **kwargs: control("--address", daemon.socket, *args, **kwargs)
    return daemon


def test_status_HasOneLineForEachDaemon(busy):
    headers, rows = table(busy.say("status").stdout)
    assert headers == "DEVICE NAME STATE UPTIME POOL/CAPACITY CACHED/LIMIT IN-USE IDLE SESS HIT% POLICY".split()
    assert len(rows) == 1
    assert rows[0][0] == "host" and "serving" in rows[0] and rows[0][-1] == "lru"
    assert "7.00MiB/64.0MiB" in rows[0] and "6.00MiB" in rows[0] and "1.00MiB" in rows[0]


def test_sessions_ShowWhoHoldsWhat(busy):
    headers, rows = table(busy.say("sessions").stdout)
    assert headers == "ID PID USER NAME S AGE IN-USE IDLE LEASES HIT% LAST".split()
    by_name = {row[3]: row for row in rows}
    assert by_name["alpha"][1] == str(busy.a.pid) and by_name["alpha"][6:9] == ["6.00MiB", "0B", "3"]
    assert by_name["beta"][6:9] == ["0B", "1.00MiB", "1"]
    assert by_name["alpha"][4] in "RS"


def test_leases_ShowSpecStateAndPlace(busy):
    headers, rows = table(busy.say("leases", "--sort", "bytes").stdout)
    assert headers == "ID SESSION STATE BYTES BLOCK SPEC IDLE SLAB+OFFSET".split()
    assert len(rows) == 4
    assert [row[3] for row in rows] == ["3.00MiB", "2.00MiB", "1.00MiB", "1.00MiB"]
    assert {row[2] for row in rows} == {"in-use", "idle"}


def test_slabs_ShowAMap(busy):
    headers, rows = table(busy.say("slabs").stdout)
    assert headers == "SLAB SIZE DOMAIN MAPPED-BY MAP".split()
    assert rows and all(row[-1].startswith("[") and set(row[-1]) <= set("[#+~!.]") for row in rows)
    assert "#" in "".join(row[-1] for row in rows) and "+" in "".join(row[-1] for row in rows)


def test_json_OfStatsKeepsItsSchema(busy):
    check(json.loads(busy.say("stats", "-o", "json").stdout), SCHEMA)


def test_json_TheSchemaNoticesWhatIsWrong(busy):
    good = json.loads(busy.say("stats", "-o", "json").stdout)
    for path, wrong in [
        (("schema",), 2),
        (("state",), "up"),
        (("pool", "bytes", "idle"), "12"),
        (("cache", "items"), -1),
        (("totals", "evictions", "limit"), 1.5),
        (("settings", "limit", "origin"), "guess"),
        (("sessions",), None),
    ]:
        broken = json.loads(json.dumps(good))
        part = broken
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = wrong
        with pytest.raises(AssertionError):
            check(broken, SCHEMA)
        del part[path[-1]]
        if path != ("settings", "limit", "origin") and path != ("totals", "evictions", "limit"):
            with pytest.raises(AssertionError):
                check(broken, SCHEMA)


def test_json_EveryCommandPrintsOneDocument(busy):
    session = busy.session(busy.a)["id"]
    for command in (
        ["status"], ["stats"], ["sessions"], ["slabs"], ["leases"], ["limit"], ["policy"], ["quota"], ["config"],
        ["version"], ["limit", "32MiB"], ["policy", "lru"], ["quota", "none"], ["quota", "1GiB", "--session", session],
        ["quota", "--session", session], ["trim"], ["trim", "1MiB"], ["clear"], ["drain"], ["undrain"],
        ["stats", "--since", "10ms"],
    ):  # fmt: skip
        result = busy.say(*command, "-o", "json")
        assert result.returncode == 0, result
        assert result.stderr == "", result
        text = json.dumps(json.loads(result.stdout))
        assert "NaN" not in text


def test_options_StandBeforeOrAfterTheCommand(busy):
    before = busy.say("-o", "json", "-n", "1", "leases")
    after = busy.say("leases", "-n", "1", "-o", "json")
    assert json.loads(before.stdout)[0]["lease"] == json.loads(after.stdout)[0]["lease"]
    assert len(json.loads(after.stdout)) == 1


def test_sort_ByAnyColumnBothWays(busy):
    def column(*args):
        return [row["size_bytes"] for row in json.loads(busy.say("leases", "-o", "json", *args).stdout)]

    assert column("--sort", "bytes") == [3 * MIB, 2 * MIB, MIB, MIB]
    assert column("--sort=-BYTES") == [MIB, MIB, 2 * MIB, 3 * MIB]
    names = [row["name"] for row in json.loads(busy.say("sessions", "-o", "json", "--sort=-name").stdout)]
    assert names == ["alpha", "beta"]
    wrong = busy.say("leases", "--sort", "colour")
    assert wrong.returncode == 2 and "colour" in wrong.stderr and "slab+offset" in wrong.stderr, wrong


def test_rows_AreCutAndHeadersLeftOut(busy):
    assert len(busy.say("leases", "-n", "2", "--no-headers").stdout.splitlines()) == 2
    assert len(busy.say("leases", "-n", "2").stdout.splitlines()) == 3
    assert busy.say("sessions", "-n", "0", "--no-headers").stdout == ""


def test_wide_HasMoreColumns(busy):
    headers, _ = table(busy.say("sessions", "-o", "wide").stdout)
    assert "DOMAIN" in headers and "QUARANTINED" in headers
    assert str(busy.socket) in busy.say("status", "-o", "wide").stdout


def test_filters_OfLeases(busy):
    session = busy.session(busy.b)["id"]
    rows = json.loads(busy.say("leases", "-o", "json", "--session", session).stdout)
    assert [row["session"] for row in rows] == [session]
    rows = json.loads(busy.say("leases", "-o", "json", "--state", "in-use").stdout)
    assert len(rows) == 3 and {row["state"] for row in rows} == {"in_use"}
    unknown = busy.say("leases", "--session", "99999")
    assert unknown.returncode == 1 and "99999" in unknown.stderr, unknown


def test_colour_OnATerminalOnlyUnlessAskedFor(busy):
    assert "\x1b" not in busy.say("status").stdout
    assert "\x1b[1m" in busy.say("status", "--color", "always").stdout
    assert "\x1b[1m" in busy.say("status", env={"CLICOLOR_FORCE": "1"}).stdout
    assert "\x1b" not in busy.say("status", env={"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}).stdout
    assert "\x1b" not in busy.say("status", "--color", "never", env={"CLICOLOR_FORCE": "1"}).stdout
    assert "\x1b" not in busy.say("stats", "-o", "json", "--color", "always").stdout


def test_terminal_LinesAreCutToItsWidthAndNothingElseIs(busy):
    import fcntl
    import os
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    command = [str(BIN / "nvcv-cachectl"), "--address", str(busy.socket), "status"]
    environment = {**clean_environment(), "TERM": "xterm"}
    assert subprocess.run(command, stdout=theirs, env=environment, timeout=30).returncode == 0
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        shown += part
    os.close(ours)
    lines = shown.decode().replace("\x1b[1m", "").replace("\x1b[0m", "").split("\r\n")
    assert lines[0].startswith("DEVICE") and all(len(line) <= 40 for line in lines), lines
    assert "\x1b[1m" in shown.decode()
    assert max(map(len, busy.say("status").stdout.splitlines())) > 40


def test_text_OfClientsIsHarmless(workshop):
    daemon = workshop.daemon()
    daemon.probe("evil\x1b[31m\u202e").buffer(64 * KIB)
    for command in ("sessions", "leases"):
        for output in ("table", "wide", "json"):
            text = control("--address", daemon.socket, "-o", output, command).stdout
            assert "\x1b" not in text and "\u202e" not in text and "evil" in text


def test_watch_Repeats(busy):
    command = [str(BIN / "nvcv-cachectl"), "--address", str(busy.socket), "-w", "0.02", "status"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
    seen = 0
    while seen < 3:
        seen += process.stdout.readline().startswith("DEVICE")
    process.kill()
    process.wait(20)
    process.stdout.close()


def test_errors_SayWhatWhyNext(workshop):
    daemon = workshop.daemon()
    text = control("--address", daemon.socket, "limit", "8G")
    assert text.returncode == 2
    assert text.stderr == 'nvcv-cachectl: limit: "8G" is ambiguous\nnext: write 8GiB or 8GB\n', text.stderr
    result = control("--address", daemon.socket, "-o", "json", "limit", "8G")
    assert result.stdout == ""
    error = json.loads(result.stderr)["error"]
    assert error == {
        "code": "invalid_argument", "message": 'limit: "8G" is ambiguous', "hint": "write 8GiB or 8GB"
    }  # fmt: skip


@pytest.mark.parametrize("pause", ["0", "-1", "nan", "inf", "soon", "1e9"])
def test_watch_RefusesWhatIsNoPause(pause):
    refused = control(f"-w={pause}", "status")
    assert refused.returncode == 2 and refused.stdout == "", refused
    assert pause in refused.stderr and "seconds above 0" in refused.stderr, refused.stderr


def test_output_ThatCannotBeWrittenIsAFailure(busy):
    with open("/dev/full", "w") as full:
        for command in (["stats"], ["leases", "-o", "json"], ["--help"]):
            failed = subprocess.run(
                [str(BIN / "nvcv-cachectl"), "--address", str(busy.socket), *command],
                check=False,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                env=clean_environment(),
            )
            assert failed.returncode == 1 and "No space left" in failed.stderr, failed


@pytest.mark.parametrize("wrong", [["--colour"], ["limit", "1", "2"], ["sort"], ["status", "-n", "few"], []])
def test_usage_ErrorsAreJsonWhereJsonWasAsked(wrong):
    for asked in (["-o", "json"], ["-ojson"], ["--output=json"]):
        refused = control(*asked, *wrong)
        assert refused.returncode == 2 and refused.stdout == "", refused
        error = json.loads(refused.stderr)["error"]
        assert error["code"] == "usage" and error["message"] and error["hint"] == "nvcv-cachectl --help", error
    refused = control(*wrong)
    assert refused.returncode == 2 and refused.stderr.startswith("nvcv-cachectl: "), refused
    assert "next: nvcv-cachectl --help" in refused.stderr, refused


def test_help_ShowsTheWordsThatMayBeWritten():
    shown = control("--help").stdout
    assert "--output table|wide|json" in shown and "--color auto|always|never" in shown, shown
    assert "in-use|idle|draining|quarantined" in control("leases", "--help").stdout
    for command in ([], ["limit"], ["policy"], ["quota"], ["leases"], ["clear"], ["trim"], ["stats"]):
        shown = control(*command, "--help").stdout
        assert not any(word in shown for word in ("ENUM", "UINT", "TEXT", "FLOAT", "{")), shown
