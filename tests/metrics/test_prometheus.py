"""A real Prometheus scrapes the exporter while clients work: the dashboard and the alerts ask it."""

import math
import shutil
import subprocess

import prometheus
import pytest
from conditions import MIB
from load import Load

pytestmark = pytest.mark.skipif(not prometheus.INSTALLED, reason="prometheus is not installed (Debian: prometheus)")


# Counters and histograms of which a scene that moves has more than zero.
MOVING = {
    "Daemons", "Slab memory by state, and the capacity", "Cache, and its limit", "Hit ratio", "Misses",
    "Evictions", "Sessions", "Acquire: p50 and p99", "Death to free: p50 and p99",
}  # fmt: skip


@pytest.fixture
def scene(workshop):
    """A daemon with clients, an exporter, a Prometheus."""
    daemon = workshop.daemon(limit=12 * MIB, capacity=32 * MIB)
    exporter = prometheus.Exporter("--address", daemon.socket)
    server = prometheus.Prometheus(workshop.root / "prometheus", exporter)
    scene = type("Scene", (), {"daemon": daemon, "exporter": exporter, "server": server, "load": Load(daemon)})
    yield scene
    server.close()
    exporter.close()


def test_EveryPanelHasDataAndEveryAlertIsEvaluated(scene):
    server = scene.server

    def shown(title, expression):
        rows = server.query(expression)
        if title in MOVING:
            rows = [row for row in rows if row[1] > 0 and not math.isnan(row[1])]
        return bool(rows)

    asked = [(title, expression) for title, queries in prometheus.panels().items() for expression, _ in queries]
    assert len(asked) >= 14, asked
    server.until("nvcv_cached_up == 1")
    waiting = list(asked)
    for _ in range(300):
        scene.load.turn()
        waiting = [(title, expression) for title, expression in waiting if not shown(title, expression)]
        if not waiting:
            break
    assert not waiting, waiting

    groups = server.ask("rules")["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(prometheus.alerts()) <= set(rules)
    for name, rule in rules.items():
        assert rule["health"] == "ok", (name, rule)
        server.query(rule["query"])  # it answers, perhaps with nothing
    assert server.query(rules["NvcvCachedRefusing"]["query"]), "refusals raise their alert"
    for quiet in ("NvcvCachedDown", "NvcvCachedNotServing", "NvcvCachedQuarantinedMemory", "NvcvCachedRestarting"):
        assert not server.query(rules[quiet]["query"]), quiet

    largest = server.until("nvcv_cached_session_bytes")
    assert {labels["name"] for labels, _ in largest} <= {c.name for c in scene.daemon.clients} and len(largest) <= 5
    assert {labels["pid"] for labels, _ in largest} <= {str(c.pid) for c in scene.daemon.clients}


def test_WhatPrometheusSeesIsWhatStatsSays(scene):
    scene.load.turn()
    for client in scene.load.clients:
        client.drop()
    books = scene.daemon.check()
    server = scene.server
    server.until("nvcv_cached_pool_bytes", lambda rows: rows[0][1] == books.pool)
    server.until("sum(nvcv_cached_misses_total)", lambda rows: rows[0][1] == books.totals["misses"])
    assert server.value("sum(nvcv_cached_hits_total)") == books.totals["hits"]
    assert server.value("sum(nvcv_cached_bytes)") == books.pool
    assert server.value("nvcv_cached_cache_bytes") == books.cache_bytes <= server.value("nvcv_cached_limit_bytes")
    assert server.value("nvcv_cached_acquire_duration_seconds_count") == (
        server.value('sum(nvcv_cached_misses_total{result!="refused"})')
    )
    assert server.value("sum(nvcv_cached_refused_total)") == books.totals["refused"]


def test_ADaemonThatIsKilledIsDown(scene):
    server = scene.server
    server.until("nvcv_cached_up == 1")
    rule = next(rule for rule in rules(server) if rule["name"] == "NvcvCachedDown")
    scene.daemon.kill()
    assert server.until(rule["query"])[0][0]["device"] == "host"
    server.until('ALERTS{alertname="NvcvCachedDown",alertstate="pending"}')
    assert server.value("up") == 1, "the exporter goes on"
    scene.daemon.start()
    server.until("nvcv_cached_up == 1")
    server.until("changes(nvcv_cached_start_time_seconds[1m]) > 0")


def rules(server):
    return [rule for group in server.ask("rules")["groups"] for rule in group["rules"]]


def test_AlertsPassTheirOwnTests():
    folder = prometheus.ALERTS.parent
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        subprocess.run([shutil.which("promtool"), *command], check=True, cwd=folder)
