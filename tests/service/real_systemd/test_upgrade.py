"""A new version is installed while daemon and clients run."""

from conditions import eventually
from machine import MIB, active, pid, run, shell, show, systemctl


def test_TheOldOneServesUntilItIsRestarted(service, client):
    one = client("alice", NVCV_CACHED_TIMEOUT="60s")
    item = one.buffer(MIB)
    one.call("fill", item, 7)
    before = pid()
    shell("DEBIAN_FRONTEND=noninteractive apt-get install -y /packages/next/*.deb")
    assert "+next" in run("dpkg-query", "-W", "-f", "${Version}", "nvcv-cached")
    assert (active(service), pid()) == ("active", before)
    assert show(service, "NeedDaemonReload") == "no"
    one.buffer(2 * MIB)
    one.call("drop", "all")
    kept = one.buffer(MIB)
    one.call("fill", kept, 8)
    systemctl("restart", service)
    assert pid() != before
    eventually(lambda: one.buffer(3 * MIB), "the new one serves")
    assert one.call("check", kept, 8)["wrong"] == 0


def test_BackIsTheSameProcedure(service):
    shell("DEBIAN_FRONTEND=noninteractive apt-get install -y --allow-downgrades /packages/*.deb")
    systemctl("restart", service)
    shell("nvcv-cachectl ping --all")
