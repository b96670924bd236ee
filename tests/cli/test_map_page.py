"""The memory map's page in a browser: pointed at and clicked, on daemons with leases in every state."""

import collections
import json
import os

import browser
import pytest
from conditions import KIB, MIB
from control import control

pytestmark = pytest.mark.skipif(not browser.INSTALLED, reason="chromium is not installed (Debian: chromium)")

STATES = ("in_use", "idle", "draining", "quarantined", "free")


def scene(daemon):
    """Sessions, slabs, and leases in every state; three idle and held blocks are too narrow to be drawn alone."""
    alpha, beta, gone = (daemon.probe(name) for name in ("alpha<b>&", "beta", "gone"))
    alpha.buffer(3 * MIB)
    alpha.buffer(512, count=200)
    alpha.idle(MIB)
    beta.idle(2 * MIB)
    beta.buffer(100_000, count=3)
    gone.buffer(2 * MIB)
    gone.call("break", f"{gone.socket}.fd")
    gone.break_stream()
    late = daemon.liar("late")  # its block waits for a fence that never comes
    late.attach()
    slot = late.grant(MIB)["slot"]
    late.call("fence", slot, 5, 100)
    late.call("move", slot, "returned")
    late.send(return_leases={"slots": [slot]})
    daemon.clients.append(late)
    daemon.quiet(draining=MIB, quarantined=2 * MIB)
    return {row["name"]: row for row in daemon.sessions() if row["state"] == "attached"}


@pytest.fixture
def shown(workshop, tmp_path):
    """A page of the daemons whose sockets are in a user's directory; what they were like when it was made."""
    pages = []

    def show(*daemons, **size):
        sockets = workshop.root / "runtime" / "nvcv-cached"
        sockets.mkdir(parents=True, mode=0o700)
        for i, daemon in enumerate(daemons):
            os.symlink(daemon.socket, sockets / f"{i}.sock")
        environment = {"XDG_RUNTIME_DIR": str(sockets.parent)}
        saved = tmp_path / "then.json"
        saved.write_text(control("snapshot", "-o", "json", env=environment).stdout)
        file = tmp_path / "map.html"
        file.write_text(control("snapshot", "--from", saved, env=environment).stdout)
        pages.append(browser.Page(tmp_path, file, **size))
        taken = json.loads(saved.read_text())
        return pages[-1], taken if isinstance(taken, list) else [taken]

    yield show
    for page in pages:
        page.close()


def visible(page, selector):
    """data-session -> of its parts drawn at full strength and dimmed, how many."""
    script = f"""[...document.querySelectorAll({json.dumps(selector)})].map(part =>
        [part.dataset.session, getComputedStyle(part).opacity])"""
    counts = collections.defaultdict(lambda: [0, 0])
    for session, opacity in page.ask(script):
        counts[session][opacity != "1"] += 1
    return dict(counts)


def tip(page):
    return page.ask(
        "(t => getComputedStyle(t).display === 'none' ? null : t.textContent)(document.querySelector('#tip'))"
    )


def test_page_TotalsOfBothViewsAreTheStatistics(workshop, shown):
    daemon = workshop.daemon()
    scene(daemon)
    page, [taken] = shown(daemon)
    parts = taken["stats"]["pool"]["bytes"]
    assert all(parts[state] for state in STATES), parts
    rectangles = page.ask("""[...document.querySelectorAll('rect[data-bytes]')].map(rect =>
        [rect.closest('.session') !== null, rect.dataset.state, +rect.dataset.bytes, +(rect.dataset.slack || 0)])""")
    sums = {True: collections.Counter(), False: collections.Counter()}
    for by_session, state, size, slack in rectangles:
        sums[by_session].update({state: size, "slack": slack})
    assert sums[False] == collections.Counter(parts)
    assert sums[True] == collections.Counter({state: parts[state] for state in (*STATES[:4],)} | {"slack": 0})
    said = page.ask("[...document.querySelectorAll('g.total')].map(total => total.textContent.trim())")
    assert "draining 1.00MiB" in said and "quarantined 2.00MiB" in said, said
    assert page.errors == []


def test_page_ABlockThatIsPointedAtSaysWhatItIs(workshop, shown):
    daemon = workshop.daemon()
    sessions = scene(daemon)
    page, _ = shown(daemon)
    alpha = sessions["alpha<b>&"]
    assert tip(page) is None
    page.hover(f"g[data-session='{alpha['id']}'] > rect.in_use[data-count='1']")
    lines = tip(page).split("\n")
    assert lines[:2] == [
        f"Buffer {3 * MIB}",
        "3.00MiB in use",
    ]
    assert lines[2].startswith(f"held by session {alpha['id']}: alpha<b>&, pid {alpha['pid']}, there for ")
    assert len(lines) == 3
    page.hover(f"g[data-session='{sessions['beta']['id']}'] > rect.idle[data-bytes='{2 * MIB}']")
    lines = tip(page).split("\n")
    assert lines[0] == f"Buffer {2 * MIB}" and lines[3].startswith("idle for ")
    page.hover(f"g[data-session='{alpha['id']}'] > rect.in_use:not([data-count='1'])")
    assert "objects\n" in tip(page)
    page.hover("rect.free[data-bytes]")
    assert tip(page).endswith(" free")
    page.hover("g.session rect.quarantined")
    assert tip(page).startswith("2.00MiB quarantined\ngone, pid ")
    page.hover("summary")
    assert tip(page) is None, "it goes with the pointer"
    assert page.errors == []


def test_page_AClickShowsWhereASessionsMemoryLies(workshop, shown):
    daemon = workshop.daemon()
    sessions = scene(daemon)
    page, _ = shown(daemon)
    every = visible(page, "[data-session]")
    assert len(every) == 5 and all(not dimmed for _, dimmed in every.values())
    beta = str(sessions["beta"]["id"])
    page.click(f"g.session[data-session='{beta}'] text")
    for session, (strong, dimmed) in visible(page, "[data-session]").items():
        assert (strong == 0, dimmed == 0) == (session != beta, session == beta), session
    page.click(f"g[data-session='{sessions['alpha<b>&']['id']}'] > rect.in_use")  # another one, by its block
    dimmed = {session for session, counts in visible(page, "[data-session]").items() if counts[1]}
    assert dimmed == set(every) - {str(sessions["alpha<b>&"]["id"])}
    page.click(f"g[data-session='{sessions['alpha<b>&']['id']}'] > rect.in_use")  # again: all
    assert visible(page, "[data-session]") == every
    assert page.errors == []


def test_page_SessionsOfTwoDaemonsAreNotMixedUp(workshop, shown):
    first, second = workshop.daemon(), workshop.daemon()
    for daemon in (first, second):
        daemon.probe("one").buffer(MIB)
        daemon.probe("two").buffer(512 * KIB)
    page, taken = shown(first, second)
    assert [snapshot["sessions"][0]["id"] for snapshot in taken] == [1, 1]
    page.click(".device:nth-of-type(2) g.session[data-session='1']")
    assert visible(page, ".device:nth-of-type(1) [data-session]") == {"1": [2, 0], "2": [2, 0]}
    assert visible(page, ".device:nth-of-type(2) [data-session]") == {"1": [2, 0], "2": [0, 2]}


def test_page_TheTableOpensLargestFirst(workshop, shown):
    daemon = workshop.daemon()
    scene(daemon)
    page, [taken] = shown(daemon, width=900)
    rows = "[...document.querySelectorAll('tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    assert page.ask("document.querySelector('table').checkVisibility()") is False
    page.click("summary")
    assert page.ask("document.querySelector('table').checkVisibility()") is True
    head, *body = page.ask(rows)
    assert head == ["bytes", "state", "spec", "session", "idle", "place"]
    assert body[0][:4] == ["3.00MiB", "in use", f"Buffer {3 * MIB}", "1 alpha<b>&"] and body[0][4] == "-"
    held = sum(1 for slab in taken["slabs"] for extent in slab["extents"] if "session" in extent)
    assert len(body) == min(held, 200)
    assert page.ask("document.documentElement.scrollWidth <= innerWidth"), "it fits a narrow window"
