"""The exporter's unit, scraped as Prometheus does."""

from conditions import eventually
from machine import Path, active, command, ready, run, shell, show, systemctl, write

UNIT = "nvcv-cached-exporter.service"


def scrape(address="127.0.0.1:9435"):
    return run("curl", "--silent", "--show-error", "--fail", f"http://{address}/metrics")


def test_AUserOfItsOwnServesTheMetrics(service):
    shell("systemctl enable --now nvcv-cached-exporter")
    eventually(lambda: 'nvcv_cached_state{device="host",state="serving"} 1' in scrape(), "metrics")
    assert show(UNIT, "DynamicUser") == "yes"
    status = Path(f"/proc/{show(UNIT, 'MainPID')}/status").read_text()
    assert "CapEff:\t0000000000000000" in status and "Uid:\t0\t" not in status


def test_ItOutlivesTheDaemon(service):
    systemctl("stop", service)
    assert 'state="serving"} 1' not in scrape()
    systemctl("start", service)
    ready()
    eventually(lambda: 'nvcv_cached_state{device="host",state="serving"} 1' in scrape(), "metrics again")
    assert active(UNIT) == "active" and show(UNIT, "NRestarts") == "0"


def test_ItListensWhereItsFileSays(service):
    file = Path("/etc/default/nvcv-cached-exporter")
    write(file, "EXPORTER_LISTEN=0.0.0.0:9436\n")
    systemctl("restart", UNIT)
    eventually(lambda: "nvcv_cached_" in scrape("127.0.0.1:9436"), "the other port")
    assert command("curl", "--silent", "http://127.0.0.1:9435/metrics").returncode != 0
    file.unlink()
    systemctl("restart", UNIT)
    eventually(lambda: "nvcv_cached_" in scrape(), "the first port")
