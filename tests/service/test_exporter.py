"""The exporter as its unit starts it: the unit's own command line, scraped while daemons come and go."""

import os
import re
import shlex
import subprocess
import urllib.request
from pathlib import Path

import pytest
from conditions import BIN, DEADLINE, MIB, clean_environment, eventually
from units import settings

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "system" / "nvcv-cached-exporter.service"
FAKE = os.environ["NVCV_CACHED_FAKE_CUDA"]


def command_of(service, overrides):
    """The words of ExecStart as systemd makes them: ${NAME} is one word, of Environment= and then the file's."""
    environment = dict(word.split("=", 1) for word in shlex.split(service["Environment"])) | overrides
    return [
        re.sub(r"\$\{(\w+)\}", lambda name: environment[name[1]], word) for word in shlex.split(service["ExecStart"])
    ]


class Exporter:
    """Runs with the sockets of a directory of its own in place of the machine's; the port is of the system's choice."""

    def __init__(self, directory):
        self.sockets = directory / "nvcv-cached"
        self.sockets.mkdir(parents=True, mode=0o700)
        # What an operator writes into /etc/default/nvcv-cached-exporter.
        program, *words = command_of(settings(UNIT)["Service"], {"EXPORTER_LISTEN": "127.0.0.1:0"})
        self.process = subprocess.Popen(
            [str(BIN / program), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment() | {"XDG_RUNTIME_DIR": str(directory)},
        )
        self.port = int(re.search(r"port (\d+)", self.process.stdout.readline())[1])

    def up(self):
        """{device: 1 or 0}, as Prometheus is told."""
        assert self.process.poll() is None, self.process.stderr.read()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=DEADLINE) as answer:
            text = answer.read().decode()
        return {
            device: int(value) for device, value in re.findall(r'^nvcv_cached_up\{device="(.*)"\} (\d)$', text, re.M)
        }

    def show(self, daemon):
        name = daemon.books().raw["device"]["id"]
        (self.sockets / f"{name}.sock").symlink_to(daemon.socket)
        return name


@pytest.fixture
def exporter(workshop):
    made = Exporter(workshop.root / "runtime")
    yield made
    made.process.kill()
    made.process.communicate()


def test_exporter_TheUnitsLineServesWhileDaemonsComeAndGo(workshop, exporter):
    assert exporter.up() == {}
    host = workshop.daemon()
    exporter.show(host)
    assert exporter.up() == {"host": 1}
    fake = workshop.root / "fake"
    fake.mkdir()
    driver = {"LD_LIBRARY_PATH": FAKE, "FAKE_CUDA_DIR": str(fake)}
    gpu = workshop.daemon(device="cuda:0", capacity=16 * MIB, limit=None, environment=driver)
    uuid = exporter.show(gpu)
    assert exporter.up() == {"host": 1, uuid: 1}
    host.kill()
    assert exporter.up() == {"host": 0, uuid: 1}
    assert gpu.terminate() == 0  # takes its socket along, but not the link that stands for it here
    (exporter.sockets / f"{uuid}.sock").unlink()
    assert exporter.up() == {"host": 0}
    host.start()
    gpu.start()
    exporter.show(gpu)
    assert exporter.up() == {"host": 1, uuid: 1}
    host.stop()  # hangs
    eventually(lambda: exporter.up() == {"host": 0, uuid: 1}, "the others' numbers come without it")
    host.resume()
    eventually(lambda: exporter.up() == {"host": 1, uuid: 1}, "and with it again")
    exporter.process.terminate()
    _, said = exporter.process.communicate(timeout=DEADLINE)
    assert exporter.process.returncode == 0, said
    assert "connection refused" in said, said


def test_exporter_ListensWhereTheUnitSays():
    words = command_of(settings(UNIT)["Service"], {})
    assert words == ["nvcv-cachectl", "metrics", "--listen", "127.0.0.1:9435"]
