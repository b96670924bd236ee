"""There is one list of definitions: help texts, JSON, its schema and docs/metrics.md say what admin.proto's comments say."""

import re
import subprocess

import definitions
import pytest
from conditions import BIN, MIB, clean_environment


def metrics(daemon, *args):
    command = [str(BIN / "nvcv-cachectl"), "--address", str(daemon.socket), "metrics", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=clean_environment()).stdout


@pytest.fixture
def text(workshop):
    daemon = workshop.daemon()
    daemon.probe("alpha").buffer(MIB)
    return metrics(daemon, "--sessions", "5")


# Of which there is no sample before something went wrong.
LATE = {"device_errors_total"}


def test_HelpTypeAndLabelsAreTheDefinitions(text):
    helps = dict(re.findall(r"^# HELP (\w+) (.*)$", text, re.MULTILINE))
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    labels = {}
    for name, shown in re.findall(r"^(\w+)\{(.*)\} ", text, re.MULTILINE):
        names = tuple(name for name in re.findall(r'(\w+)="', shown) if name != "le")
        labels.setdefault(re.sub(r"_(bucket|sum|count)$", "", name), set()).add(names)
    defined = {definitions.PREFIX + metric.name: metric for metric in definitions.metrics()}
    assert set(helps) == set(defined) - {definitions.PREFIX + name for name in LATE}
    for name, text_of in helps.items():
        metric = defined[name]
        assert text_of == metric.text
        assert types[name] == metric.type
        assert labels[name] == {("device", *metric.labels)}


def test_OnlyTheLargestSessionsAreTold(workshop):
    daemon = workshop.daemon()
    for name, count in (("small", 1), ("large", 3), ("middle", 2)):
        daemon.probe(name).buffer(MIB, count=count)
    told = re.findall(
        r'^nvcv_cached_session_bytes\{.*name="(\w+)".*\} (\d+)$', metrics(daemon, "--sessions", "2"), re.M
    )
    assert sorted(told) == [("large", str(3 * MIB)), ("middle", str(2 * MIB))]
    assert "session_bytes" not in metrics(daemon), "none unless asked for"


def test_EveryFieldOfStatsIsInTheJsonAndDescribed():
    document = definitions.schema()
    for path, (message, field, comment) in definitions.places().items():
        part = definitions.described(document, path)
        # `settings` and `time` are told of by their own descriptions.
        if comment or "description" not in part:
            assert part.get("description", "") == comment, f"{path}: admin.proto says of {message}.{field}: {comment!r}"


def test_ThePageListsEveryMetric():
    rows = re.findall(r"^\| `(\w+?)(?:\{([\w,]+)\})?` \| (\w+) \| (.*) \|$", definitions.PAGE.read_text(), re.MULTILINE)
    page = [definitions.Metric(name, tuple(labels.split(",")) if labels else (), *rest) for name, labels, *rest in rows]
    assert sorted(page, key=str) == sorted(definitions.metrics(), key=str)
