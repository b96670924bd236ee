"""The files for Prometheus and Grafana as text: what needs neither program to be seen."""

import json
import re

import prometheus


def test_EachAlertIsSeenFiringInItsTestsAndHasARunbookLine():
    alerts = prometheus.alerts()
    cases = (prometheus.ALERTS.parent / "alerts_test.yml").read_text()
    assert set(re.findall(r"alertname: (\w+)\n +exp_alerts", cases)) == set(alerts)
    runbook = re.findall(r"- alert: (\w+)(?:.|\n)*?runbook: docs/operate.md#(\w+)", prometheus.ALERTS.read_text())
    assert [(name, name.lower()) for name in alerts] == runbook


def test_TheDashboardIsWhole():
    board = json.loads(prometheus.DASHBOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        assert panel["title"] and panel["description"]
        for target in panel["targets"]:
            assert 'device=~"$device"' in target["expr"], target
