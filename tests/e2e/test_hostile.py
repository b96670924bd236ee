"""M5: clients that lie, flood, scribble and hang up.

A bystander works through all of it and notices nothing.
"""

import contextlib
import os
import random
import socket

import pytest
from conditions import KIB, LONG, MIB, eventually, fails

EMPTY, HELD, IDLE, RETURNED = range(4)
INVALID_ARGUMENT, RESOURCE_EXHAUSTED, NOT_FOUND = 3, 8, 5


@pytest.fixture
def bystander(daemon):
    """An honest client with memory in use and idle; afterwards it must be as it was, and served."""
    a = daemon.probe("bystander")
    items = a.buffer(MIB, 4)
    for item in items:
        a.fill(item, item)
    a.idle(2 * MIB)
    leases = {(row["slot"], row["slab"], row["offset"]) for row in daemon.leases(a)}
    yield a
    assert daemon.process.poll() is None, daemon.log_text()
    assert {(row["slot"], row["slab"], row["offset"]) for row in daemon.leases(a)} >= leases
    assert [a.wrong(item, item) for item in items] == [0] * 4
    misses = a.stats()["misses"]
    a.call("loop", 3, 2 * MIB)
    assert a.stats()["misses"] == misses
    a.buffer(3 * MIB)
    a.kill()
    for client in daemon.clients:
        client.close()
    daemon.quiet(sessions=0, in_use=0, idle=0, draining=0, quarantined=0, cache_bytes=0)
    daemon.check()


def ended(liar, *codes):
    status = liar.status()
    assert status["status"] in codes, status
    return status


def raw(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(str(path))
    return sock


# ---- bytes that are no protocol ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".fd"])
def test_M5_GarbageOnTheSocket(daemon, bystander, suffix):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for i in range(40):
        with raw(f"{daemon.socket}{suffix}") as sock:
            junk = rng.randbytes(rng.choice([1, 15, 16, 17, 100, 70000]))
            try:
                sock.sendall((preface if i % 2 else b"") + junk)
                if i % 3 == 0:
                    sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
    daemon.quiet(sessions=1)


def test_M5_SilentConnections(daemon, bystander):
    """Connections that never say anything cost a descriptor each, and nobody is refused for them."""
    silent = [raw(f"{daemon.socket}{suffix}") for suffix in ("", ".fd") for _ in range(100)]
    daemon.probe("newcomer").buffer(MIB)
    for sock in silent:
        sock.close()


def test_M5_ConnectionStorm(daemon, bystander):
    liars = [daemon.liar(f"storm{i}") for i in range(3)]
    running = [
        liar.start("storm", 2000 if LONG else 300, path)
        for liar, path in zip(liars, [liars[0].address, liars[0].address + ".fd", liars[0].address], strict=True)
    ]
    daemon.probe("newcomer").buffer(MIB)
    for future in running:
        future.result(60)
    daemon.quiet(sessions=2)


# ---- messages ----------------------------------------------------------------------------------------------


def test_M5_FirstMessageIsNotHello(daemon, bystander):
    liar = daemon.liar()
    liar.call("open", liar.address)
    liar.acquire(MIB)
    ended(liar, INVALID_ARGUMENT)


def test_M5_SecondHello(daemon, bystander):
    liar = daemon.liar()
    liar.attach()
    liar.send(hello={"protocol_min": 1, "protocol_max": 1})
    ended(liar, INVALID_ARGUMENT)


def test_M5_EmptyMessage(daemon, bystander):
    liar = daemon.liar()
    liar.attach()
    liar.send()
    ended(liar, INVALID_ARGUMENT)


def test_M5_AcquireBeforeTheTableWasFetched(daemon, bystander):
    liar = daemon.liar()
    liar.open()
    liar.expect("welcome")
    liar.acquire(MIB)
    ended(liar, INVALID_ARGUMENT)


@pytest.mark.parametrize(
    "acquire",
    [
        {"size_bytes": 0},
        {"size_bytes": 2**64 - 1},
        {"size_bytes": 2**63},
        {"alignment": 3},
        {"alignment": 2**63},
        {"alignment": 0},
        {"thread_tag": 1024},
        {"thread_tag": 2**32 - 1},
    ],
    ids=str,
)
def test_M5_ImpossibleAcquire(daemon, bystander, acquire):
    """It is refused or ends the stream; in no case does anything of it stay in the books."""
    liar = daemon.liar()
    liar.attach()
    before = daemon.books()
    liar.send(acquire={"request_id": 1, "size_bytes": 4096, "alignment": 1, "timeout_ms": 0, **acquire})
    answer = liar.receive()
    assert "refusal" in answer or answer.get("status") == INVALID_ARGUMENT, answer
    after = daemon.books()
    assert (after.in_use, after.pool) == (before.in_use, before.pool)


def test_M5_WishForAheadIsBounded(daemon, bystander):
    liar = daemon.liar()
    liar.attach()
    liar.acquire(4 * KIB, ahead=2**32 - 1)
    assert len(liar.expect("grant")["leases"]) <= 33


@pytest.mark.parametrize("slots", [[0], [5], [40000], [2**32 - 1], list(range(200))], ids=lambda s: str(s)[:12])
def test_M5_ReturnOfWhatIsNotReturned(daemon, bystander, slots):
    """Messages are hints, checked against the word: a held lease is not freed by naming it."""
    liar = daemon.liar()
    liar.attach()
    slot = liar.grant(4 * KIB)["slot"]
    liar.send(return_leases={"slots": [*slots, slot]})
    liar.send(query={"request_id": 9})
    answer = liar.receive()
    if "counts" in answer:
        assert answer["counts"]["cache_items"] == "1", answer
        assert liar.call("slot", slot)["state"] == HELD
    else:
        assert answer["status"] == INVALID_ARGUMENT, answer


def test_M5_ReturnTwice(daemon, bystander):
    liar = daemon.liar()
    liar.attach()
    slot = liar.grant(MIB)["slot"]
    liar.call("move", slot, "returned")
    for _ in range(3):
        liar.send(return_leases={"slots": [slot, slot]})
    liar.send(query={"request_id": 9})
    answer = liar.receive()
    assert "counts" in answer or answer["status"] == INVALID_ARGUMENT, answer
    eventually(lambda: daemon.check().in_use == 4 * MIB, "only the bystander's are in use")


def test_M5_UnmappedThatWasNeverRetired(daemon, bystander):
    liar = daemon.liar()
    liar.attach()
    grant = liar.grant(MIB)
    for slab in (grant["slab"], "1", "999999"):
        liar.send(unmapped={"slab": slab})
    liar.send(query={"request_id": 9})
    answer = liar.receive()
    assert "counts" in answer or answer["status"] == INVALID_ARGUMENT, answer
    assert any(row["id"] == int(grant["slab"]) for row in daemon.slabs())


def test_M5_FloodOfAcquires(daemon, bystander):
    """One client asks without end; the others are served all the while."""
    liar = daemon.liar()
    liar.attach()
    message = {"request_id": 1, "size_bytes": 512, "alignment": 1, "timeout_ms": 1000, "spec": "x" * 200}
    flood = liar.spam(100_000 if LONG else 20_000, acquire=message)
    other = daemon.probe("other")
    for _ in range(20):
        other.drop(other.buffer(512 * KIB))
        other.call("clear")
    liar.call("cancel") if LONG else flood.result(60)
    liar.kill()


def test_M5_ReaderThatNeverReads(daemon, bystander):
    """Its answers pile up to a bound, then its session ends; the daemon does not grow without end."""
    liar = daemon.liar()
    liar.open(mute=True)
    before = resident_bytes(daemon.process.pid)
    message = {"request_id": 1, "scope": 0}
    flood = liar.spam(300_000, query=message)
    other = daemon.probe("other")
    other.buffer(MIB)
    with contextlib.suppress(TimeoutError):  # flow control holds it: that bounds it too
        flood.result(20)
    assert resident_bytes(daemon.process.pid) - before < 64 * MIB
    liar.kill()


def test_M5_DescriptorSocketThatIsNotRead(workshop):
    """Slab after slab is sent to a socket that nobody reads: the session ends, the sender does not block."""
    daemon = workshop.daemon(capacity=512 * MIB, slab_size=MIB, limit=512 * MIB)
    liar, other = daemon.liar(), daemon.probe("other")
    liar.attach()
    for request in range(1, 400):
        liar.acquire(MIB, request)
        if "grant" not in liar.receive():
            break
    other.buffer(MIB)
    other.call("loop", 10, 2 * MIB)
    liar.kill()
    daemon.quiet(sessions=1)


def test_M5_LongAndStrangeText(daemon, bystander):
    """Names and specs are for people: cut, escaped, and harmless in every list."""
    liar = daemon.liar()
    liar.attach(name="\x1b[31mred\n\u202e" + "n" * 100_000, library_version="\u0000\r\n" * 1000)
    liar.acquire(MIB, spec="\x1b]0;owned\x07\n" + "s" * 100_000)
    liar.receive()
    for what in ("sessions", "leases"):
        for kind in ("json", "table"):
            text = daemon.ctl("-o", kind, what).stdout
            assert "\x1b" not in text and "\u202e" not in text and len(text) < 50_000
    assert "\x1b" not in daemon.log_text()


# ---- the lease table ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["header", "counters", "timelines", "slots", "all"])
def test_M5_NonsenseInTheTable(daemon, bystander, part):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    liar = daemon.liar()
    liar.attach()
    for request in range(1, 30):
        liar.grant(64 * KIB, request)
    liar.call("scribble", seed, part)
    for _ in range(3):
        daemon.books()
        daemon.ctl("leases")
        daemon.ctl("sessions")
    for request in range(30, 60):  # it asks on, until it is found out or for as long as nothing is wrong
        if liar.call("send", f'{{"acquire":{{"request_id":{request},"size_bytes":65536,"alignment":1}}}}')["sent"] == 0:
            break
        answer = liar.receive()
        if "status" in answer:
            assert answer["status"] in (INVALID_ARGUMENT, RESOURCE_EXHAUSTED), answer
            break
    daemon.ctl("clear", "--session", "999999", check=False)
    daemon.ctl("trim")
    daemon.check()
    liar.kill()
    daemon.quiet(sessions=1, quarantined=0)


@pytest.mark.parametrize("word", [0, 1, 2, 3, 4, 7, 2**64 - 1, 2**63])
def test_M5_WordThatNoClientMayWrite(daemon, bystander, word):
    liar = daemon.liar()
    liar.attach()
    slot = liar.grant(MIB)["slot"]
    liar.call("poke", slot, word)
    liar.send(return_leases={"slots": [slot]})
    ended(liar, INVALID_ARGUMENT)
    daemon.check()
    bystander.call("loop", 5, 512 * KIB)


def test_M5_WordsOfSlotsNeverGranted(daemon, bystander):
    liar = daemon.liar()
    liar.attach()
    for slot in (1, 7, 32767):
        liar.call("poke", slot, (5 << 3) | RETURNED)
    liar.send(return_leases={"slots": [1, 7, 32767]})
    liar.send(acquire={"request_id": 1, "size_bytes": 4096, "alignment": 1})
    answer = liar.receive()
    assert "grant" in answer or answer["status"] == INVALID_ARGUMENT, answer
    daemon.check()


def test_M5_FenceOutOfRange(daemon, bystander):
    """A fence that names no timeline is never done: that block waits for the liar's death, no other."""
    liar = daemon.liar()
    liar.attach()
    slot = liar.grant(MIB)["slot"]
    liar.call("fence", slot, 65535, 1)
    liar.call("move", slot, "returned")
    liar.send(return_leases={"slots": [slot]})
    eventually(lambda: daemon.books().in_use == 4 * MIB, "out of use")
    bystander.call("loop", 5, 512 * KIB)
    daemon.check()


def test_M5_CountersThatLieChangeNoBooks(daemon, bystander):
    """Hits are statistics: a lie shows in them and nowhere else, and totals never fall."""
    liar = daemon.liar()
    liar.attach()
    liar.grant(MIB)
    liar.call("scribble", 5, "counters")
    high = daemon.books()
    liar.call("scribble", 6, "counters")
    low = daemon.books()
    assert low.totals["hits"] >= high.totals["hits"]
    assert (low.cache_bytes, low.in_use) == (high.cache_bytes, high.in_use)


# ---- descriptors -------------------------------------------------------------------------------------------


def test_M5_DescriptorsCannotBeShortenedOrSealed(daemon, bystander):
    liar = daemon.liar()
    liar.attach()
    liar.grant(MIB)
    liar.call("frame", 5000)
    for attack in ("shrink", "grow", "seal"):
        found = liar.call(attack)
        assert set(found) == {"table", "slab"} and "done" not in found.values(), (attack, found)


def test_M5_PunchedHolesHarmOnlyTheirOwnDomain(workshop):
    """A hole in one's own table is zeros, and zeros are no word that a client may write."""
    daemon = workshop.daemon()
    liar, other = daemon.liar(), daemon.probe("other")
    liar.attach()
    liar.grant(MIB)
    liar.call("punch")
    daemon.books()
    daemon.ctl("leases")
    other.buffer(MIB)
    daemon.check()


@pytest.mark.parametrize("token", ["00" * 16, "ff" * 16, "ab" * 5])
def test_M5_WrongDescriptorToken(daemon, bystander, token):
    liar = daemon.liar()
    liar.open()
    liar.expect("welcome")
    with fails("frame"):
        liar.call("fetch", liar.address + ".fd", token)


def test_M5_DescriptorTokenIsGoodForOneConnection(daemon, bystander):
    liar, thief = daemon.liar(), daemon.liar("thief")
    liar.open()
    welcome = liar.expect("welcome")
    liar.fetch(welcome)
    with fails("frame"):
        thief.fetch(welcome)
    liar.grant(MIB)


def test_M5_DescriptorTokenOfAnotherProcess(daemon, bystander):
    liar, thief = daemon.liar(), daemon.liar("thief")
    liar.open()
    welcome = liar.expect("welcome")
    with fails("frame"):
        thief.fetch(welcome)


# ---- sessions of others ------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "AAAAAAAAAAAAAAAAAAAAAA=="])
def test_M5_ResumeOfAnothersSession(daemon, bystander, token):
    session = daemon.session(bystander)["id"]
    liar = daemon.liar()
    liar.open(resume={"session_id": session, "resume_token": token, "epoch": daemon.books().epoch})
    ended(liar, NOT_FOUND, 7)
    assert daemon.session(bystander)["state"] == "attached"


def test_M5_ResumeByAnotherProcessWithTheRightToken(daemon, bystander):
    owner, thief = daemon.liar("owner"), daemon.liar("thief")
    welcome = owner.attach()
    owner.grant(MIB)
    thief.open(
        resume={
            "session_id": welcome["session_id"],
            "resume_token": welcome["resume_token"],
            "epoch": welcome["epoch"],
        }
    )
    ended(thief, NOT_FOUND, 7)
    owner.grant(MIB, 2)


def test_M5_ResumeOfAnotherEpoch(daemon, bystander):
    liar = daemon.liar()
    welcome = liar.attach()
    liar.call("cancel")
    liar.open(
        resume={
            "session_id": welcome["session_id"],
            "resume_token": welcome["resume_token"],
            "epoch": int(welcome["epoch"]) + 1,
        }
    )
    ended(liar, NOT_FOUND)


def test_M5_ResumeWithWildCount(daemon, bystander):
    liar = daemon.liar()
    welcome = liar.attach()
    liar.call("cancel")
    liar.open(
        resume={
            "session_id": welcome["session_id"],
            "resume_token": welcome["resume_token"],
            "epoch": welcome["epoch"],
            "received": 2**64 - 1,
        }
    )
    ended(liar, NOT_FOUND, INVALID_ARGUMENT)


def test_M5_HangsUpItsDescriptorSocket(daemon, bystander):
    """What it held may still be in use: quarantined until its death."""
    liar = daemon.liar()
    liar.attach()
    liar.grant(MIB)
    liar.call("hangup")
    daemon.quiet(quarantined=MIB)
    liar.kill()
    daemon.quiet(quarantined=0)


def test_M5_ManySessionsOfOneProcess(workshop):
    """Streams opened and dropped without end leave nothing behind."""
    daemon = workshop.daemon(max_sessions=50)
    liar = daemon.liar()
    for _ in range(300 if LONG else 80):
        liar.open()
        message = liar.receive()
        assert "welcome" in message or "status" in message, message
    liar.kill()
    daemon.quiet(sessions=0)
    daemon.probe("a").buffer(MIB)


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as statm:
        fields = statm.read().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
