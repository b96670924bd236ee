"""The memory map: sums are the statistics', files are whole by themselves, and a saved one is drawn again."""

import collections
import html.parser
import json
import re
import xml.etree.ElementTree as ET

import pytest
from conditions import MIB
from control import control

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def daemon(workshop):
    made = workshop.daemon()
    made.snapshot = lambda *args: control("--address", made.socket, "snapshot", *args)
    a, b = made.probe("a<b&'\"c"), made.probe("b")
    a.buffer(3 * MIB)
    a.buffer(100_000, count=5)
    a.idle(MIB + 12345)
    b.idle(2 * MIB)
    made.a, made.b = a, b
    return made


def drawn(svg):
    """Bytes by state of the rectangles, and what a drawing says of itself: ({state: bytes}, slack, {state: total})."""
    root = ET.fromstring(svg)
    blocks, slack = collections.Counter(), 0
    for rect in root.iter(f"{SVG}rect"):
        if "data-slack" in rect.attrib:
            blocks[rect.get("data-state")] += int(rect.get("data-bytes"))
            slack += int(rect.get("data-slack"))
    said = {g.get("data-state"): int(g.get("data-bytes")) for g in root.iter(f"{SVG}g") if g.get("class") == "total"}
    return blocks, slack, said


def test_json_SumsAreTheStatistics(daemon):
    taken = json.loads(daemon.snapshot("-o", "json").stdout)
    assert taken["snapshot"] == 1
    pool = taken["stats"]["pool"]
    states, slack = collections.Counter(), 0
    for slab in taken["slabs"]:
        assert sum(extent["size_bytes"] for extent in slab["extents"]) == slab["size_bytes"]
        for extent in slab["extents"]:
            asked = extent.get("asked_bytes", extent["size_bytes"])
            states[extent["state"]] += asked
            slack += extent["size_bytes"] - asked
    states["slack"] = slack
    assert +states == +collections.Counter(pool["bytes"])
    assert sum(pool["bytes"].values()) == pool["pool_bytes"]
    for key, state in (("in_use_bytes", "in_use"), ("idle_bytes", "idle")):
        assert sum(session[key] for session in taken["sessions"]) == pool["bytes"][state]
    assert pool["bytes"]["in_use"] == 3 * MIB + 5 * 100_352  # in steps of 512
    specs = {extent["spec"] for slab in taken["slabs"] for extent in slab["extents"] if "spec" in extent}
    assert specs == {f"Buffer {3 * MIB}", "Buffer 100000", f"Buffer {MIB + 12345}", f"Buffer {2 * MIB}"}


def test_json_SumsAgreeWhileClientsWork(daemon):
    churning = daemon.b.start("churn", 7, 4, MIB)
    for _ in range(10):
        taken = json.loads(daemon.snapshot("-o", "json").stdout)
        states = collections.Counter()
        for slab in taken["slabs"]:
            for extent in slab["extents"]:
                states[extent["state"]] += extent.get("asked_bytes", extent["size_bytes"])
        found = {state: size for state, size in taken["stats"]["pool"]["bytes"].items() if size and state != "slack"}
        assert states == found
        assert not churning.done()
    daemon.b.call("halt")
    churning.result(60)


def test_svg_IsWellFormedAloneAndItsAreasAreTheStatistics(daemon):
    svg = daemon.snapshot("-o", "svg").stdout
    blocks, slack, said = drawn(svg)
    books = daemon.books().raw["pool"]["bytes"]
    assert said == books
    blocks["slack"] = slack
    assert +blocks == +collections.Counter(books)
    titles = [title.text for title in ET.fromstring(svg).iter(f"{SVG}title")]
    assert any(f"Buffer {3 * MIB}" in text and "a<b&'\"c" in text and str(daemon.a.pid) in text for text in titles)
    assert any("idle for" in text for text in titles)


class References(html.parser.HTMLParser):
    """What a page would load from elsewhere, and where it has code."""

    def __init__(self):
        super().__init__()
        self.found, self.code = [], []

    def handle_starttag(self, tag, attrs):
        self.found += [(tag, key, value) for key, value in attrs if key in ("src", "href", "action", "data")]
        self.code += [tag] if tag == "script" else []
        self.code += [key for key, _ in attrs if key.startswith("on")]


@pytest.mark.parametrize("form", ["html", "svg"])
def test_AFileRefersToNothingOutsideOfIt(daemon, form):
    text = daemon.snapshot("-o", form).stdout
    parser = References()
    parser.feed(text)
    assert parser.found == []
    assert set(re.findall(r"https?://[^\"' )<]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\((?!#)", text)


def test_html_HoldsTheDrawing(daemon):
    page = daemon.snapshot().stdout
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    svg = page[page.index("<svg") : page.index("</svg>") + 6]
    assert drawn(svg)[2] == daemon.books().raw["pool"]["bytes"]
    assert f"<td>Buffer {3 * MIB}</td>" in page


def test_from_DrawsASavedOneAgain(daemon, tmp_path):
    saved = tmp_path / "then.json"
    saved.write_text(daemon.snapshot("-o", "json").stdout)
    svg = daemon.snapshot("-o", "svg").stdout
    daemon.a.drop()
    daemon.terminate()
    again = [control("snapshot", "--from", saved, "-o", form) for form in ("json", "svg", "html")]
    assert [result.returncode for result in again] == [0, 0, 0], again
    assert again[0].stdout == saved.read_text()
    assert drawn(again[1].stdout) == drawn(svg)
    assert again[1].stdout.strip() in again[2].stdout


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "{}", '{"snapshot": 2}', '{"snapshot": 1}', '{"snapshot":1,"stats":[]}']
)
def test_from_RefusesWhatIsNoSnapshot(tmp_path, text):
    file = tmp_path / "not.json"
    file.write_text(text)
    result = control("snapshot", "--from", file)
    assert result.returncode == 2 and result.stdout == "" and str(file) in result.stderr, result
    assert "snapshot -o json" in result.stderr
    assert control("snapshot", "--from", tmp_path / "none").returncode == 2


def test_from_ASavedTextCannotBecomeMarkup(daemon, tmp_path):
    taken = json.loads(daemon.snapshot("-o", "json").stdout)
    evil = '</title><script>alert(1)</script><script " onload="alert(2)'
    taken["sessions"][0]["name"] = taken["stats"]["device"]["id"] = evil
    for slab in taken["slabs"]:
        slab["domain"] = evil
        for extent in slab["extents"]:
            extent["state"] = evil if extent["state"] == "idle" else extent["state"]
            extent["spec"] = evil
    file = tmp_path / "evil.json"
    file.write_text(json.dumps(taken))
    for form, code in (("svg", []), ("html", ["script"])):
        text = control("snapshot", "--from", file, "-o", form).stdout
        parser = References()
        parser.feed(text)
        assert parser.code == code and text.count("<script") == len(code)


def test_ManySmallBlocksAreDrawnTogether(daemon):
    before = daemon.snapshot("-o", "svg").stdout.count("<rect")
    daemon.a.buffer(512, count=3000)
    svg = daemon.snapshot("-o", "svg").stdout
    assert svg.count("<rect") < before + 1500
    blocks, slack, said = drawn(svg)
    assert blocks["in_use"] == said["in_use"] and slack == said["slack"]
