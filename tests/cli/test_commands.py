"""What the commands do, what they say, and with which code they exit."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from conditions import DEADLINE, MIB, eventually, process_state
from control import control, table

ROOT = Path(__file__).parents[2]


@pytest.fixture
def daemon(workshop):
    made = workshop.daemon()
    made.say = lambda *args, **kwargs: control("--address", made.socket, *args, **kwargs)
    return made


def test_limit_PrintsValueAndOriginThenWhatSettingItDid(daemon):
    assert daemon.say("limit").stdout == "limit 64.0MiB (flag)\n"
    a = daemon.probe("a")
    a.buffer(2 * MIB)
    a.idle(MIB)
    said = daemon.say("limit", "2MiB").stdout
    assert said == (
        "limit 64.0MiB -> 2.00MiB (runtime); evicted 1 idle items (1.00MiB), 0 in use left the books; cached 2.00MiB\n"
    )
    assert daemon.say("limit").stdout == "limit 2.00MiB (runtime)\n"
    assert json.loads(daemon.say("limit", "-o", "json").stdout) == {
        "key": "limit",
        "value": 2 * MIB,
        "origin": "runtime",
        "socket": str(daemon.socket),
    }
    said = daemon.say("limit", "0").stdout
    assert "evicted 0 idle items (0B), 1 in use left the books; cached 0B" in said


def test_limit_TakesAShareOfTheDevice(daemon):
    total = daemon.books().raw["device"]["total_bytes"]
    assert daemon.say("limit", "25%").returncode == 0
    assert abs(daemon.books().limit - total // 4) <= 1


def test_limit_AboveTheDeviceWarns(daemon):
    result = daemon.say("limit", "900TiB")
    assert result.returncode == 0 and "above the device's memory" in result.stderr, result


@pytest.mark.parametrize("value", ["8G", "-1", "none", "much", "101%", "8EiB"])
def test_limit_RefusesWhatIsNoLimit(daemon, value):
    result = daemon.say("limit", "--", value)
    assert result.returncode == 2 and result.stdout == "", result
    assert daemon.books().limit == 64 * MIB


def test_policy_AndQuota(daemon):
    assert daemon.say("policy").stdout == "policy lru (default)\n"
    assert daemon.say("policy", "clear").stdout == "policy lru -> clear (runtime)\n"
    assert daemon.say("policy").stdout == "policy clear (runtime)\n"
    assert daemon.say("policy", "fifo").returncode == 2
    assert daemon.say("quota").stdout == "quota none (default)\n"
    assert daemon.say("quota", "8MiB").stdout == "quota none -> 8.00MiB (runtime)\n"
    assert daemon.say("quota").stdout == "quota 8.00MiB (runtime)\n"
    assert daemon.say("quota", "none").stdout == "quota 8.00MiB -> none (runtime)\n"


def test_quota_OfOneSession(daemon):
    a, b = daemon.probe("a"), daemon.probe("b")
    a.buffer(MIB)
    b.buffer(MIB)
    session = daemon.session(a)["id"]
    said = daemon.say("quota", "4MiB", "--session", session).stdout
    assert said == f"quota of session {session} none -> 4.00MiB (runtime)\n"
    assert daemon.say("quota", "--session", session).stdout == f"quota of session {session} 4.00MiB\n"
    assert daemon.session(a)["quota_bytes"] == 4 * MIB and daemon.session(b)["quota_bytes"] is None
    assert daemon.say("quota", "4MiB", "--session", "999").returncode == 1
    assert daemon.say("quota", "--session", "999").returncode == 1


def test_misses_BySpecAndHowTheyWereServed(daemon):
    a, b = daemon.probe("a"), daemon.probe("b")
    a.call("tensor", "U8", "HWC", 1000, 1000, 1)
    a.call("tensor", "U8", "HWC", 1000, 1000, 1)
    b.idle(MIB)
    assert b.call("stats")["misses"] == 1
    rows = {row["spec"]: row for row in json.loads(daemon.say("misses", "-o", "json").stdout)}
    assert rows["Tensor 1000x1000x1 u8"]["misses"] == 2 and rows["Tensor 1000x1000x1 u8"]["size_bytes"] >= 10**6
    totals = daemon.books().totals
    for result in ("pool", "reclaim", "grow"):
        assert sum(row[result] for row in rows.values()) == totals[f"misses_{result}"], result
    assert sum(row["misses"] for row in rows.values()) == totals["misses"] == 3
    of_b = json.loads(daemon.say("misses", "--session", daemon.session(b)["id"], "-o", "json").stdout)
    assert [row["spec"] for row in of_b] == [f"Buffer {MIB}"]
    headers, shown = table(daemon.say("misses", "-n", "1").stdout)
    assert headers == ["SPEC", "BYTES", "MISSES", "POOL", "RECLAIM", "GROW", "REFUSED"]
    assert shown[0][:3] == ["Tensor", "1000x1000x1", "u8"]
    assert daemon.say("misses", "--session", "999").returncode == 1


def test_clear_AndTrimSayWhatTheyDid(daemon):
    a = daemon.probe("a")
    a.idle(3 * MIB)
    a.buffer(MIB)
    assert daemon.say("clear").stdout == "cleared 2 items (4.00MiB)\n"
    assert daemon.books().cache_items == 0
    a.drop()
    daemon.quiet(in_use=0, idle=0)
    result = json.loads(daemon.say("trim", "-o", "json").stdout)
    assert result["freed_bytes"] + result["retiring_bytes"] > 0
    daemon.quiet(pool=0)
    assert daemon.say("clear", "--session", "999").returncode == 1


def test_trim_WithASizeEvictsIdleLeases(daemon):
    a = daemon.probe("a")
    a.idle(3 * MIB)
    result = json.loads(daemon.say("trim", "1MiB", "-o", "json").stdout)
    assert result["evicted_items"] == 1, result
    daemon.quiet(idle=0, pool=0)


def test_drain_ShowsTheHoldersAndPingSees(daemon):
    a = daemon.probe("holder")
    a.buffer(MIB)
    assert [row["idle_seconds"] for row in json.loads(daemon.say("leases", "-o", "json").stdout)] == [None]
    said = daemon.say("drain").stdout
    assert "draining; 1 sessions hold memory" in said and f"holder pid {a.pid} 1.00MiB" in said
    ping = daemon.say("ping")
    assert ping.returncode == 3 and ping.stdout == "" and "draining" in ping.stderr, ping
    assert daemon.say("undrain").returncode == 0
    assert daemon.say("ping").returncode == 0


def test_stats_SinceShowsRates(daemon):
    a = daemon.probe("a")
    a.idle(MIB)
    running = a.start("loop", 200_000, MIB)
    rates = json.loads(daemon.say("stats", "--since", "100ms", "-o", "json").stdout)
    running.result(60)
    assert rates["seconds"] >= 0.1 and "hits_per_second" in rates, rates
    # Those of several under one name too: each counter of the statistics has its rate.
    for key, value in daemon.books().totals.items():
        of_key = rates[f"{key}_per_second"]
        assert set(of_key) == set(value) if isinstance(value, dict) else of_key >= 0, key
    text = daemon.say("stats", "--since", "1ms").stdout
    assert re.search(r"^evictions_per_second limit +0\.0$", text, re.MULTILINE), text
    assert daemon.say("stats", "--since", "soon").returncode == 2


def test_stats_AsTextHasEveryNumber(daemon):
    lines = dict(line.rsplit(None, 1) for line in daemon.say("stats").stdout.splitlines() if line)
    assert lines["pool capacity_bytes"] == "64.0MiB" and lines["totals hits"] == "0"


def test_config_ShowsEverySettingWithItsOrigin(daemon):
    shown = json.loads(daemon.say("config", "-o", "json", env={"NVCV_CACHED_TIMEOUT": "7s"}).stdout)
    rows = {row["key"]: row for row in shown if row["of"] == "host"}
    assert rows["capacity"]["value"] == 64 * MIB and rows["capacity"]["origin"] == "flag"
    assert rows["drain-timeout"]["value"] == "30s" and rows["drain-timeout"]["origin"] == "default"
    assert rows["socket"]["value"] == str(daemon.socket)
    client = {row["key"]: row for row in shown if row["of"] == "client"}
    assert (client["timeout"]["value"], client["timeout"]["origin"]) == ("7s", "env")
    assert (client["autostart"]["value"], client["autostart"]["origin"]) == ("1", "default")
    variables = re.findall(
        r"^///   NVCV_CACHED_(\w+) ", (ROOT / "client/include/nvcv_cached/device.h").read_text(), re.M
    )
    assert set(client) == {name.lower().replace("_", "-") for name in variables}, "the header's list"
    daemon.terminate()
    alone = daemon.say("config", "-o", "json")
    assert alone.returncode == 4 and {row["of"] for row in json.loads(alone.stdout)} == {"client"}


def test_exit_3ADaemonThatDoesNotAnswer(daemon):
    os.kill(daemon.process.pid, signal.SIGSTOP)
    eventually(lambda: process_state(daemon.process.pid) in "Tt", "stopped")
    try:
        result = daemon.say("--timeout", "300ms", "ping")
        assert result.returncode == 3 and "--timeout" in result.stderr, result
        assert f"no answer in 300ms from pid {daemon.process.pid} (state T)" in result.stderr, result
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)


def test_exit_2WhatIsNoCommand(daemon):
    for wrong in (["frobnicate"], [], ["status", "--no-such"], ["-o", "xml", "status"], ["--timeout", "x", "status"]):
        assert daemon.say(*wrong).returncode == 2, wrong
    assert "there is no command frobnicate" in daemon.say("frobnicate").stderr
    for wrong in (["-o", "yaml"], ["-o", "2"], ["--color", "sometimes"], ["-n", "-1"], ["-n", "1e3"]):
        refused = daemon.say(*wrong, "status")
        assert refused.returncode == 2 and f'"{wrong[1]}" is ' in refused.stderr, refused
        assert "; write " in refused.stderr and "{" not in refused.stderr, refused
    assert daemon.say("--help").returncode == 0
    assert daemon.say("leases", "--help").returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="another uid needs root")
def test_exit_5WhoMayNotConnectOrChange(workshop):
    closed, readable = workshop.daemon(), workshop.daemon(mode="0666")
    for daemon in (closed, readable):
        daemon.directory.chmod(0o755)
    guest = {"user": 12001, "group": 12001}
    refused = control("--address", closed.socket, "status", **guest)
    assert refused.returncode == 5 and "uid 12001" in refused.stderr and str(closed.socket) in refused.stderr, refused
    assert control("--address", readable.socket, "status", **guest).returncode == 0
    for change in (
        ["limit", "1MiB"],
        ["policy", "clear"],
        ["quota", "1MiB"],
        ["clear"],
        ["trim"],
        ["drain"],
        ["undrain"],
    ):
        refused = control("--address", readable.socket, *change, **guest)
        assert refused.returncode == 5 and "uid 12001" in refused.stderr, refused
    assert control("--address", readable.socket, "stop", **guest).returncode == 5
    assert readable.books().raw["state"] == "serving"


def test_stop_WaitsForTheEnd(daemon):
    said = daemon.say("stop")
    assert said.returncode == 0 and said.stdout == f"stopped pid {daemon.process.pid} at {daemon.socket}\n", said
    assert daemon.process.wait(DEADLINE) == 0
    assert daemon.say("stop").returncode == 4


def test_version_NamesBothSides(daemon):
    versions = json.loads(daemon.say("version", "-o", "json").stdout)
    assert versions["client"] == versions["library"] == versions["daemons"][0]["version"] == "0.1.0"
    assert versions["protocol_oldest"] == versions["protocol"] == 1
    first, second, third = daemon.say("version").stdout.splitlines()
    assert first == "nvcv-cachectl 0.1.0 (protocol 1-1)" and second == "libnvcv_cached 0.1.0 (protocol 1-1)"
    assert third == f"nvcv-cached 0.1.0 (protocol 1) at {daemon.socket}"
    assert versions["daemons"][0]["protocol"] == 1


def test_lists_ManyLeases(daemon):
    """More rows than gRPC's usual bound on a message."""
    a = daemon.probe("a")
    a.call("buffer", 30000, 512, timeout=120)
    assert (
        len(json.loads(daemon.say("leases", "-o", "json", "--timeout", "30s").stdout)) >= 30000
    )  # and those granted ahead
