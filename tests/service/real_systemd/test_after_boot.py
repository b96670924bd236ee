"""The machine has started anew: what was enabled serves."""

from pathlib import Path

from conditions import eventually
from machine import MIB, SERVICE, active, run, shell, systemctl


def test_WhatWasEnabledServes(client):
    for unit in (SERVICE, "nvcv-cached.target", "nvcv-cached-exporter.service"):
        assert active(unit) == "active", unit
    shell("nvcv-cachectl ping --all")
    client("alice").buffer(MIB)
    eventually(lambda: "nvcv_cached_" in run("curl", "-s", "http://127.0.0.1:9435/metrics"), "metrics")
    assert Path("/run/nvcv-cached").owner() == "nvcv"


def test_NothingOfOursFailed():
    assert "nvcv" not in systemctl("list-units", "--failed")
