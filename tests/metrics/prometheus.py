"""A real Prometheus that scrapes a real exporter, and the dashboard's queries as Grafana would ask them."""

import json
import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from conditions import BIN, DEADLINE, clean_environment, eventually

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "nvcv-cached.json"
INSTALLED = shutil.which("prometheus")


def panels():
    """{title: [(expression, legend)]} of the dashboard, for every device and a short interval."""
    found = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        found[panel["title"]] = [
            (target["expr"].replace("$__rate_interval", "8s").replace("$device", ".*"), target["legendFormat"])
            for target in panel["targets"]
        ]
    return found


def alerts():
    return re.findall(r"- alert: (\w+)", ALERTS.read_text())


class Exporter:
    """nvcv-cachectl metrics --listen, on a port of the system's choice."""

    def __init__(self, *args):
        command = [str(BIN / "nvcv-cachectl"), *map(str, args), "metrics", "--listen", "127.0.0.1:0", "--sessions", "5"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
        said = self.process.stdout.readline()
        self.port = int(re.search(r"port (\d+)", said)[1])

    def scrape(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=DEADLINE) as answer:
            return answer.read().decode()

    def close(self):
        self.process.terminate()
        code = self.process.wait(DEADLINE)
        self.process.stdout.close()
        assert code == 0, f"the exporter exited {code} on SIGTERM"


class Prometheus:
    """Scrapes the exporter twice a second and evaluates the alerts."""

    def __init__(self, directory, exporter):
        directory.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/api/v1"
        settings = directory / "prometheus.yml"
        settings.write_text(
            json.dumps({  # which is YAML
                "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
                "rule_files": [str(ALERTS)],
                "scrape_configs": [
                    {
                        "job_name": "nvcv-cached",
                        "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}],
                    }
                ],
            })
        )  # fmt: skip
        self.log = directory / "prometheus.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [
                    INSTALLED,
                    f"--config.file={settings}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "GOMAXPROCS": "2"},
            )

    def ask(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/{path}?{query}", timeout=DEADLINE) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        except urllib.error.URLError as error:
            assert self.process.poll() is None, self.log.read_text()
            raise AssertionError(f"not there yet: {error}") from error  # `eventually` asks again

    def query(self, expression):
        """[(labels, value)] at this moment."""
        return [(row["metric"], float(row["value"][1])) for row in self.ask("query", query=expression)["result"]]

    def value(self, expression):
        rows = self.query(expression)
        assert len(rows) == 1, (expression, rows)
        return rows[0][1]

    def until(self, expression, condition=bool, timeout=60):
        """The rows of the query, once there are such as are wanted."""

        def wanted():
            rows = self.query(expression)
            return rows if rows and condition(rows) else None

        return eventually(wanted, expression, timeout=timeout)

    def close(self):
        self.process.kill()
        self.process.wait(DEADLINE)
